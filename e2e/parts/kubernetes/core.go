package main

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubernetes/pkg/apis/core"
	coreinstall "k8s.io/kubernetes/pkg/apis/core/install"
	corevalidation "k8s.io/kubernetes/pkg/apis/core/validation"
	"k8s.io/kubernetes/pkg/apis/discovery"
	discoveryinstall "k8s.io/kubernetes/pkg/apis/discovery/install"
	discoveryvalidation "k8s.io/kubernetes/pkg/apis/discovery/validation"
	"k8s.io/utils/net"
	"k8s.io/utils/ptr"
)

// Kinds that an API server knows without a CRD.
var coreTypes = map[string]any{
	"v1/Service":                        corev1.Service{},
	"discovery.k8s.io/v1/EndpointSlice": discoveryv1.EndpointSlice{},
}

var coreScheme, decoder = func() (*runtime.Scheme, runtime.Decoder) {
	scheme := runtime.NewScheme()
	coreinstall.Install(scheme)
	discoveryinstall.Install(scheme)
	return scheme, serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDecoder()
}()

// The steps of creating an object of such a kind.
func judgeCore(object map[string]any) answer {
	text, err := json.Marshal(object)
	if err != nil {
		return refusal("", err)
	}
	decoded, _, err := decoder.Decode(text, nil, nil)
	if err != nil {
		return refusal("", err)
	}
	var errs field.ErrorList
	switch typed := decoded.(type) {
	case *core.Service:
		allocate(typed)
		for i, port := range typed.Spec.Ports {
			if port.NodePort < 0 || port.NodePort > 65535 {
				errs = append(errs, field.Invalid(field.NewPath("spec", "ports").Index(i), port.NodePort, "no node has this port"))
			}
		}
		errs = append(errs, corevalidation.ValidateServiceCreate(typed)...)
	case *discovery.EndpointSlice:
		for i := range typed.Endpoints {
			// Of this version it is read only.
			typed.Endpoints[i].DeprecatedTopology = nil
		}
		errs = discoveryvalidation.ValidateEndpointSliceCreate(typed)
	}
	problems := []problem{}
	for _, err := range errs {
		problems = append(problems, problem{Path: err.Field, Message: err.ErrorBody()})
	}
	return answer{Problems: problems, Object: object}
}

func refusal(path string, err error) answer {
	return answer{Problems: []problem{{Path: path, Message: err.Error()}}}
}

// What a server fills in before it validates, when it gives a Service its addresses; and it ignores the status.
func allocate(service *core.Service) {
	service.Status = core.ServiceStatus{}
	spec := &service.Spec
	if spec.ClusterIP != "" && len(spec.ClusterIPs) == 0 {
		spec.ClusterIPs = []string{spec.ClusterIP}
	}
	if spec.Type == core.ServiceTypeLoadBalancer && spec.ExternalTrafficPolicy == core.ServiceExternalTrafficPolicyLocal && spec.HealthCheckNodePort == 0 {
		spec.HealthCheckNodePort = 30000
	}
	if spec.Type == core.ServiceTypeExternalName {
		return
	}
	if spec.IPFamilyPolicy == nil {
		policy := core.IPFamilyPolicySingleStack
		if len(spec.ClusterIPs) > 1 || len(spec.IPFamilies) > 1 {
			policy = core.IPFamilyPolicyRequireDualStack
		}
		spec.IPFamilyPolicy = ptr.To(policy)
	}
	if len(spec.IPFamilies) > 0 {
		return
	}
	for _, address := range spec.ClusterIPs {
		if net.IsIPv6String(address) {
			spec.IPFamilies = append(spec.IPFamilies, core.IPv6Protocol)
		} else {
			spec.IPFamilies = append(spec.IPFamilies, core.IPv4Protocol)
		}
	}
	if len(spec.IPFamilies) == 0 {
		spec.IPFamilies = []core.IPFamily{core.IPv4Protocol}
	}
}

// Paths of all fields of a type, with [] for items.
func fieldsOf(of reflect.Type, path string) []string {
	switch of.Kind() {
	case reflect.Pointer:
		return fieldsOf(of.Elem(), path)
	case reflect.Slice:
		return fieldsOf(of.Elem(), path+"[]")
	case reflect.Struct:
	default:
		return nil
	}
	found := []string{}
	for i := range of.NumField() {
		member := of.Field(i)
		name, options, _ := strings.Cut(member.Tag.Get("json"), ",")
		if name == "" && strings.Contains(options, "inline") {
			found = append(found, fieldsOf(member.Type, path)...)
		} else if name != "" && name != "-" {
			inner := strings.TrimPrefix(path+"."+name, ".")
			found = append(found, inner)
			// What times, quantities and the like are made of is no field.
			if member.Type.PkgPath() != "k8s.io/apimachinery/pkg/apis/meta/v1" || name == "metadata" {
				found = append(found, fieldsOf(member.Type, inner)...)
			}
		}
	}
	slices.Sort(found)
	return found
}
