import { type Kind, kinds } from "@weft/api/kinds";
import { version } from "../version.ts";
import { namespaceKind, type ServedKind } from "./namespaces.ts";
import type { Format } from "./negotiate.ts";

/** Kubernetes' version whose conventions are followed, as `/version` tells it. */
export const kubernetesVersion = { major: "1", minor: "36" };

/** Everything that is served. */
const served: readonly ServedKind[] = [namespaceKind, ...kinds];

const readVerbs = ["get", "list", "watch"];
const writeVerbs = ["create", "delete", "deletecollection", "patch", "update"];

/** What can be done with objects of a kind. */
const verbsOf = (kind: ServedKind) =>
  kind === namespaceKind ? ["get", "list"] : kind.readOnly ? readVerbs : [...writeVerbs, ...readVerbs].sort();
/** What can be done with the status of one. */
const statusVerbs = ["get", "patch", "update"];

/** Whether a kind has a status of its own to write. */
export const hasStatus = (kind: ServedKind) => !kind.readOnly && "schema" in kind && "status" in (kind as Kind).schema.shape;

const categoriesOf = ({ group, kind }: ServedKind) => {
  if (group === "weft.dev") return { categories: ["weft"] };
  if (group === "gateway.networking.k8s.io") return { categories: ["gateway-api"] };
  return kind === "Service" ? { categories: ["all"] } : {};
};

/** `/version`. */
export const versionInfo = () => ({
  ...kubernetesVersion,
  gitVersion: `v${kubernetesVersion.major}.${kubernetesVersion.minor}.0+weft-${version}`,
  platform: `${process.platform}/${process.arch === "x64" ? "amd64" : process.arch}`,
});

/** `/api`: versions of the core group. */
export const coreVersions = () => ({ kind: "APIVersions", versions: ["v1"], serverAddressByClientCIDRs: [] });

const groupNames = [...new Set(kinds.map(({ group }) => group).filter((group) => group !== ""))];

const versionsOf = (group: string) => [...new Set(served.filter((kind) => kind.group === group).map((kind) => kind.version))];

/** `/apis/GROUP`. */
export function apiGroup(name: string): object {
  const versions = versionsOf(name).map((version) => ({ groupVersion: `${name}/${version}`, version }));
  return { kind: "APIGroup", apiVersion: "v1", name, versions, preferredVersion: versions[0] };
}

/** `/apis`. */
export const apiGroups = () => ({ kind: "APIGroupList", apiVersion: "v1", groups: groupNames.map(apiGroup) });

/** `/api/v1`, `/apis/GROUP/VERSION`. */
export function apiResources(apiVersion: string): object {
  const resources = served
    .filter((kind) => kind.apiVersion === apiVersion)
    .flatMap((kind) => {
      const { plural, singular, shortNames, namespaced, kind: name } = kind;
      const common = { namespaced, kind: name };
      const own = { name: plural, singularName: singular, ...common, verbs: verbsOf(kind), ...named(shortNames), ...categoriesOf(kind) };
      return hasStatus(kind) ? [own, { name: `${plural}/status`, singularName: "", ...common, verbs: statusVerbs }] : [own];
    });
  return { kind: "APIResourceList", apiVersion: "v1", groupVersion: apiVersion, resources };
}

const named = (shortNames: readonly string[]) => (shortNames.length > 0 ? { shortNames } : {});

/** Form in which everything of `/api` or `/apis` is told at once. */
export const aggregated = { as: "APIGroupDiscoveryList", group: "apidiscovery.k8s.io", versions: ["v2", "v2beta1"] };

/** `/api` or `/apis`, with everything below. */
export function aggregatedDiscovery(isCore: boolean, { type }: Format): object {
  const version = /v=(\w+)/.exec(type)?.[1] ?? "v2";
  const groups = isCore ? [""] : groupNames;
  return { kind: "APIGroupDiscoveryList", apiVersion: `apidiscovery.k8s.io/${version}`, metadata: {}, items: groups.map(discovered) };
}

function discovered(group: string): object {
  const resourcesOf = (version: string) =>
    served.filter((kind) => kind.group === group && kind.version === version).map(discoveredResource);
  const versions = versionsOf(group).map((version) => ({ version, freshness: "Current", resources: resourcesOf(version) }));
  return { metadata: group === "" ? {} : { name: group }, versions };
}

function discoveredResource(kind: ServedKind): object {
  const { group, version, kind: name, plural, singular, shortNames, namespaced } = kind;
  const responseKind = { group, version, kind: name };
  return {
    resource: plural,
    responseKind,
    scope: namespaced ? "Namespaced" : "Cluster",
    singularResource: singular,
    verbs: verbsOf(kind),
    ...named(shortNames),
    ...categoriesOf(kind),
    ...(hasStatus(kind) ? { subresources: [{ subresource: "status", responseKind, verbs: statusVerbs }] } : {}),
  };
}
