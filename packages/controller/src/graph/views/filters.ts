import type { HttpRoute } from "@weft/api/kinds";
import type { Edits, HeaderChanges } from "./compiled-route.ts";

type HttpFilter = NonNullable<HttpRoute["spec"]["rules"][number]["filters"]>[number];
/** What is said of filters here is the same for routes of both kinds. */
export type Filter = Pick<HttpFilter, "requestHeaderModifier" | "responseHeaderModifier"> & { type: string };

/** What filters change, and the types of those that are not supported yet. */
export function compileFilters(filters: readonly Filter[] = []): { edits: Edits; unsupported: string[] } {
  const request = filters.find(({ type }) => type === "RequestHeaderModifier")?.requestHeaderModifier;
  const response = filters.find(({ type }) => type === "ResponseHeaderModifier")?.responseHeaderModifier;
  const supported = ["RequestHeaderModifier", "ResponseHeaderModifier"];
  return {
    edits: {
      ...(request === undefined ? {} : { request: changesOf(request) }),
      ...(response === undefined ? {} : { response: changesOf(response) }),
    },
    unsupported: filters.map(({ type }) => type).filter((type) => !supported.includes(type)),
  };
}

function changesOf({ remove = [], set = [], add = [] }: NonNullable<Filter["requestHeaderModifier"]>): HeaderChanges {
  const lower = (list: typeof set) => list.map(({ name, value }) => ({ name: name.toLowerCase(), value }));
  return { remove: remove.map((name) => name.toLowerCase()), set: lower(set), add: lower(add) };
}
