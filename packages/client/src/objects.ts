import type { KindNames } from "@weft/api/kinds";

/** An object as the API gives it out. */
export interface ApiObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: ApiMetadata;
  readonly status?: unknown;
  readonly [field: string]: unknown;
}

/** Metadata of an object as the API gives it out. */
export interface ApiMetadata {
  readonly name: string;
  /** Absent on an object that belongs to no namespace. */
  readonly namespace?: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly generation?: number;
  /** RFC 3339. */
  readonly creationTimestamp: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly [field: string]: unknown;
}

/** An object as it is sent: what the server sets may be missing. */
export interface DraftObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly [field: string]: unknown };
  readonly [field: string]: unknown;
}

/** What of a kind says where its objects are. */
export type ApiKind = Pick<KindNames, "group" | "version" | "kind" | "plural" | "namespaced">;

/** Where an object is. */
export interface Place {
  name: string;
  /** Left out for kinds that belong to no namespace. */
  namespace?: string | undefined;
}

/** The path of a kind's objects: those of one namespace, or of all. */
export function collectionPath({ group, version, plural, namespaced }: ApiKind, namespace?: string): string {
  const root = group === "" ? `/api/${version}` : `/apis/${group}/${version}`;
  const within = namespaced && namespace !== undefined ? `/namespaces/${encodeURIComponent(namespace)}` : "";
  return `${root}${within}/${plural}`;
}

/** The path of one object. */
export function objectPath(kind: ApiKind, { name, namespace }: Place): string {
  return `${collectionPath(kind, namespace)}/${encodeURIComponent(name)}`;
}
