import { kinds } from "@weft/api/kinds";
import { namespaceKind, type ServedKind } from "./namespaces.ts";

/** What a call's path names. */
export type Target =
  /** `/api`, `/apis`, `/apis/GROUP`, `/api/v1` and `/apis/GROUP/VERSION`: which groups, versions and resources there are. */
  | { type: "versions" }
  | { type: "groups" }
  | { type: "group"; group: string }
  | { type: "resources"; apiVersion: string }
  /** `/openapi/v3`, and what it leads to. */
  | { type: "documents" }
  | { type: "document"; apiVersion: string }
  | { type: "version" }
  | ObjectTarget;

/** Objects of a kind: one, or all. */
export interface ObjectTarget {
  type: "objects";
  kind: ServedKind;
  /** Of all namespaces without it; empty for a kind that belongs to none. */
  namespace: string | undefined;
  /** All without it. */
  name: string | undefined;
  /** Only the status of the one. */
  isStatus: boolean;
}

/** Where Kubernetes' paths begin. What begins so is answered as a Kubernetes API server would, errors included. */
export const isResourcePath = (path: string) => /^\/(api|apis|openapi|version)(\/|$)/.test(path);

/** What a path names; undefined when it is nothing. */
export function targetOf(path: string): Target | undefined {
  const [, root, ...rest] = path.split("/");
  switch (root) {
    case "version":
      return rest.length === 0 ? { type: "version" } : undefined;
    case "openapi":
      return documentTarget(rest);
    case "api":
      if (rest.length === 0) return { type: "versions" };
      return underVersion(rest[0] ?? "", rest.slice(1));
    case "apis": {
      const [group = "", version, ...more] = rest;
      if (rest.length === 0) return { type: "groups" };
      // The core has a path of its own.
      if (!kinds.some((kind) => kind.group !== "" && kind.group === group)) return undefined;
      return version === undefined ? { type: "group", group } : underVersion(`${group}/${version}`, more);
    }
    default:
      return undefined;
  }
}

function documentTarget([version, ...rest]: string[]): Target | undefined {
  if (version !== "v3") return undefined;
  if (rest.length === 0) return { type: "documents" };
  const target = targetOf(`/${rest.join("/")}`);
  return target?.type === "resources" ? { type: "document", apiVersion: target.apiVersion } : undefined;
}

function underVersion(apiVersion: string, rest: string[]): Target | undefined {
  const served = [namespaceKind, ...kinds].filter((kind) => kind.apiVersion === apiVersion);
  if (served.length === 0) return undefined;
  if (rest.length === 0) return { type: "resources", apiVersion };
  const isWithin = rest[0] === "namespaces" && rest.length > 2;
  const [plural, name, subresource, ...more] = isWithin ? rest.slice(2) : rest;
  const kind = served.find((each) => each.plural === plural);
  if (kind === undefined || name === "" || more.length > 0 || (subresource !== undefined && subresource !== "status")) return undefined;
  if (isWithin !== kind.namespaced && (isWithin || name !== undefined)) return undefined;
  const namespace = isWithin ? rest[1] : kind.namespaced ? undefined : "";
  return { type: "objects", kind, namespace, name, isStatus: subresource === "status" };
}

/** Path of a kind's objects: `/apis/weft.dev/v1alpha1/workloads`. */
export const collectionPath = (kind: ServedKind, namespace = "") =>
  `${kind.group === "" ? "/api" : "/apis"}/${kind.apiVersion}${namespace === "" ? "" : `/namespaces/${namespace}`}/${kind.plural}`;
