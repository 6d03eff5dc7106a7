import { createHash } from "node:crypto";
import { type JsonSchema, jsonSchema, type Kind, kinds } from "@weft/api/kinds";
import { version } from "../version.ts";
import { hasStatus } from "./discovery.ts";
import { namespaceKind, type ServedKind } from "./namespaces.ts";
import { patchTypesOf } from "./patch/patch.ts";
import { collectionPath } from "./target.ts";

/** `/openapi/v3`: where the document of each group and version is. */
export function openApiIndex(): object {
  const apiVersions = [...new Set(kinds.map(({ apiVersion }) => apiVersion))];
  return {
    paths: Object.fromEntries(
      apiVersions.map((apiVersion) => {
        const path = `${apiVersion.includes("/") ? "apis" : "api"}/${apiVersion}`;
        const hash = createHash("sha256")
          .update(JSON.stringify(openApiDocument(apiVersion)))
          .digest("hex")
          .slice(0, 32)
          .toUpperCase();
        return [path, { serverRelativeURL: `/openapi/v3/${path}?hash=${hash}` }];
      }),
    ),
  };
}

const documents = new Map<string, object>();

/** OpenAPI 3.0 of a group and version: what `kubectl explain` shows, and what clients ask before they send. */
export function openApiDocument(apiVersion: string): object {
  const known = documents.get(apiVersion);
  if (known !== undefined) return known;
  const served = [namespaceKind, ...kinds].filter((kind) => kind.apiVersion === apiVersion);
  const document = {
    openapi: "3.0.0",
    info: { title: "Weft", version },
    paths: Object.fromEntries(served.flatMap(pathsOf)),
    components: { schemas: Object.fromEntries(served.flatMap(schemasOf)) },
  };
  documents.set(apiVersion, document);
  return document;
}

const gvk = ({ group, version, kind }: ServedKind) => ({ group, version, kind });

const schemaName = ({ group, version, kind }: ServedKind) => [...(group || "core").split(".").reverse(), version, kind].join(".");

function schemasOf(kind: ServedKind): [string, object][] {
  const own = "schema" in kind ? forOpenApi(jsonSchema(kind as Kind)) : { type: "object", description: kind.description };
  const item = { $ref: `#/components/schemas/${schemaName(kind)}` };
  const text = { type: "string" };
  const list = {
    type: "object",
    description: `Several of kind ${kind.kind}.`,
    required: ["items"],
    properties: { apiVersion: text, kind: text, metadata: { type: "object" }, items: { type: "array", items: item } },
    "x-kubernetes-group-version-kind": [{ ...gvk(kind), kind: `${kind.kind}List` }],
  };
  return [
    [schemaName(kind), { ...own, "x-kubernetes-group-version-kind": [gvk(kind)] }],
    [`${schemaName(kind)}List`, list],
  ];
}

/** JSON Schema as OpenAPI 3.0 has it: a constant is a choice of one, and names of fields have no schema. */
function forOpenApi(schema: JsonSchema): JsonSchema {
  const { const: constant, propertyNames: _, ...rest } = schema as JsonSchema & { propertyNames?: unknown };
  const { items, properties, additionalProperties, anyOf } = rest;
  return {
    ...rest,
    ...(constant === undefined ? {} : { type: typeof constant, enum: [constant] }),
    ...(items && { items: forOpenApi(items) }),
    ...(properties && { properties: Object.fromEntries(Object.entries(properties).map(([name, each]) => [name, forOpenApi(each)])) }),
    ...(typeof additionalProperties === "object" ? { additionalProperties: forOpenApi(additionalProperties) } : {}),
    ...(anyOf && { anyOf: anyOf.map(forOpenApi) }),
  };
}

type Operation = [method: string, action: string];

/** Paths of a kind. Those by which read-only kinds are refused are there too: clients look here how to send what they then are refused for. */
function pathsOf(kind: ServedKind): [string, object][] {
  const collection = collectionPath(kind, kind.namespaced ? "{namespace}" : "");
  const reading: Operation[] = [["get", "list"]];
  const writing: Operation[] = [
    ["post", "post"],
    ["delete", "deletecollection"],
  ];
  const changing: Operation[] = [
    ["get", "get"],
    ["put", "put"],
    ["patch", "patch"],
  ];
  const paths: [string, object][] = [
    [collectionPath(kind), pathItem(reading, [])],
    [collection, pathItem([...reading, ...writing], [])],
    [`${collection}/{name}`, pathItem([...changing, ["delete", "delete"]], ["name"])],
  ];
  if (hasStatus(kind)) paths.push([`${collection}/{name}/status`, pathItem(changing, ["name"])]);
  return paths;

  function pathItem(operations: Operation[], names: string[]): object {
    const within = kind.namespaced ? ["namespace", ...names] : names;
    return {
      ...Object.fromEntries(operations.map(([method, action]) => [method, operation(kind, action)])),
      parameters: within.map((name) => ({ name, in: "path", required: true, schema: { type: "string" } })),
    };
  }
}

const queryOf: Record<string, string[]> = {
  list: ["labelSelector", "fieldSelector", "resourceVersion", "watch", "allowWatchBookmarks", "sendInitialEvents", "timeoutSeconds"],
  get: [],
  post: ["dryRun", "fieldValidation", "fieldManager"],
  put: ["dryRun", "fieldValidation", "fieldManager"],
  patch: ["dryRun", "fieldValidation", "fieldManager"],
  delete: ["dryRun", "propagationPolicy"],
  deletecollection: ["dryRun", "propagationPolicy", "labelSelector", "fieldSelector"],
};

function operation(kind: ServedKind, action: string): object {
  const ref = (name: string) => ({ schema: { $ref: `#/components/schemas/${name}` } });
  const one = ref(schemaName(kind));
  const types = action === "patch" ? patchTypesOf(kind) : ["application/json"];
  const hasBody = ["post", "put", "patch"].includes(action);
  return {
    parameters: (queryOf[action] ?? []).map((name) => ({ name, in: "query", schema: { type: "string" } })),
    ...(hasBody
      ? {
          requestBody: {
            content: Object.fromEntries(types.map((type) => [type, action === "patch" ? { schema: { type: "object" } } : one])),
          },
        }
      : {}),
    responses: {
      200: { description: "OK", content: { "application/json": action === "list" ? ref(`${schemaName(kind)}List`) : one } },
    },
    "x-kubernetes-action": action,
    "x-kubernetes-group-version-kind": gvk(kind),
  };
}
