import type { Protocol } from "@weft/api";

/** What a request must be: all that is given. */
export interface Match {
  /** A prefix ends at a slash, and has none at its end but for `/` itself. */
  readonly path?: { readonly type: "Exact" | "Prefix"; readonly value: string };
  /** Method of HTTP. */
  readonly method?: string;
  /** What a gRPC call must be: any service, or any method of it, where one is not given. */
  readonly rpc?: { readonly service?: string; readonly method?: string };
  /** Fields, names in lower case. */
  readonly headers: readonly NamedValue[];
  readonly queryParams: readonly NamedValue[];
}

export interface NamedValue {
  readonly name: string;
  readonly value: string;
}

/** Changes of fields: names in lower case; first what is removed, then set, then added. */
export interface HeaderChanges {
  readonly remove: readonly string[];
  readonly set: readonly NamedValue[];
  readonly add: readonly NamedValue[];
}

/** What is changed of requests and answers. */
export interface Edits {
  readonly request?: HeaderChanges;
  readonly response?: HeaderChanges;
}

/** Requests are answered with 500 (gRPC: UNAVAILABLE), for a reason that findings explain. */
export interface Failure {
  readonly reason: string;
}

/** A part of a rule's requests: `weight` of the sum of all weights. */
export interface Share {
  readonly weight: number;
  readonly to:
    | Failure
    | { readonly service: string; readonly port: number; readonly protocol: Protocol | undefined; readonly edits: Edits };
}

/** What happens to requests. */
export interface Action {
  /** None of them has weight 0. */
  readonly to: Failure | readonly Share[];
  readonly edits: Edits;
}

/** A rule of a route that can be carried out. */
export interface CompiledRule {
  /** Its place in the route, from 0. */
  readonly index: number;
  readonly matches: readonly Match[];
  readonly action: Action;
}

/** Where a route is in force. */
export interface Attachment {
  /** Index of the parentRef that says so. */
  readonly parent: number;
  /** Canonical name of the service. */
  readonly service: string;
  readonly ports: readonly number[];
}

/** A route by itself: where it is in force, and what it says. */
export interface CompiledRoute {
  readonly kind: "HTTPRoute" | "GRPCRoute";
  readonly namespace: string;
  readonly name: string;
  /** RFC 3339. */
  readonly created: string;
  readonly attachments: readonly Attachment[];
  readonly rules: readonly CompiledRule[];
}
