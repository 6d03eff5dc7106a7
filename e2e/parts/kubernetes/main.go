// Judges objects as a Kubernetes API server does: arguments are CRD files; each line of standard input is an object, and each line of standard output
// the answer: {"problems": [{"path", "message"}], "object": what would be stored, for kinds with a CRD}.
// With the argument "fields" it prints the fields of kinds without a CRD instead: {"v1/Service": ["spec", ..]}.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"reflect"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/install"
	v1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	crdvalidation "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"
)

type problem struct {
	Path    string `json:"path"`
	Message string `json:"message"`
}

type answer struct {
	Problems []problem      `json:"problems"`
	Object   map[string]any `json:"object"`
}

// A kind as its CRD defines it.
type kind struct {
	namespaced bool
	schema     *structural.Structural
	validator  validation.SchemaValidator
	rules      *cel.Validator
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == "fields" {
		printFields()
		return
	}
	kinds := map[string]kind{}
	for _, path := range os.Args[1:] {
		if err := load(path, kinds); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", path, err)
			os.Exit(1)
		}
	}
	input := bufio.NewScanner(os.Stdin)
	input.Buffer(nil, 16<<20)
	output := json.NewEncoder(os.Stdout)
	for input.Scan() {
		var object map[string]any
		if err := utiljson.Unmarshal(input.Bytes(), &object); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		if err := output.Encode(judge(object, kinds)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

func printFields() {
	fields := map[string][]string{}
	for name, of := range coreTypes {
		fields[name] = fieldsOf(reflect.TypeOf(of), "")
	}
	if err := json.NewEncoder(os.Stdout).Encode(fields); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// Reads a CRD, and refuses it as the API server would.
func load(path string, kinds map[string]kind) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	scheme := runtime.NewScheme()
	install.Install(scheme)
	var external v1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(text, &external); err != nil {
		return err
	}
	scheme.Default(&external)
	var crd apiextensions.CustomResourceDefinition
	if err := scheme.Convert(&external, &crd, nil); err != nil {
		return err
	}
	// What only a server knows.
	crd.Status.StoredVersions = []string{}
	for _, version := range crd.Spec.Versions {
		if version.Storage {
			crd.Status.StoredVersions = append(crd.Status.StoredVersions, version.Name)
		}
	}
	if errs := crdvalidation.ValidateCustomResourceDefinition(context.Background(), &crd); len(errs) > 0 {
		return errs.ToAggregate()
	}
	for _, version := range crd.Spec.Versions {
		schema := version.Schema
		if schema == nil {
			schema = crd.Spec.Validation
		}
		shape, err := structural.NewStructural(schema.OpenAPIV3Schema)
		if err != nil {
			return err
		}
		validator, _, err := validation.NewSchemaValidator(schema.OpenAPIV3Schema)
		if err != nil {
			return err
		}
		kinds[crd.Spec.Group+"/"+version.Name+"/"+crd.Spec.Names.Kind] = kind{
			namespaced: crd.Spec.Scope == apiextensions.NamespaceScoped,
			schema:     shape,
			validator:  validator,
			rules:      cel.NewValidator(shape, true, celconfig.PerCallLimit),
		}
	}
	return nil
}

// The steps of creating an object: prune, fill in defaults, then check shape, lists and rules.
func judge(object map[string]any, kinds map[string]kind) answer {
	name := fmt.Sprint(object["apiVersion"], "/", object["kind"])
	if _, isCore := coreTypes[name]; isCore {
		return judgeCore(object)
	}
	of, known := kinds[name]
	if !known {
		return answer{Problems: []problem{{Path: "kind", Message: "unknown kind " + name}}}
	}
	problems := []problem{}
	track := structural.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}
	for _, path := range pruning.PruneWithOptions(object, of.schema, true, track) {
		problems = append(problems, problem{Path: path, Message: "unknown field"})
	}
	defaulting.PruneNonNullableNullsWithoutDefaults(object, of.schema)
	defaulting.Default(object, of.schema)

	var errs field.ErrorList
	meta, _, err := objectmeta.GetObjectMeta(object, false)
	if err != nil {
		problems = append(problems, problem{Path: "metadata", Message: err.Error()})
	} else {
		errs = append(errs, apivalidation.ValidateObjectMeta(meta, of.namespaced, apivalidation.NameIsDNSSubdomain, field.NewPath("metadata"))...)
	}
	errs = append(errs, validation.ValidateCustomResource(nil, (&unstructured.Unstructured{Object: object}).UnstructuredContent(), of.validator)...)
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, of.schema, object)...)
	// Rules are asked only of what has the right shape.
	if len(errs) == 0 && of.rules != nil {
		found, _ := of.rules.Validate(context.Background(), nil, of.schema, object, nil, celconfig.RuntimeCELCostBudget)
		errs = append(errs, found...)
	}
	for _, err := range errs {
		problems = append(problems, problem{Path: err.Field, Message: err.ErrorBody()})
	}
	return answer{Problems: problems, Object: object}
}
