import { isIPv4 } from "node:net";
import { nameProblem } from "@weft/api";
import { canonicalName } from "../graph/names.ts";

/** Longest alias: a DNS name. */
export const maxAliasLength = 253;

const publishedPort = /^127\.0\.0\.1:[1-9]\d{0,4}$/;

/** What an alias means: a service, or an address behind which a service may be. Not always the same one. */
export type Target = { readonly service: string } | { readonly address: string };

/**
 * What an alias means in a caller's namespace: "users", "users.shop" and "users.shop.weft" are services, "198.18.0.7" and "127.0.0.1:8080" addresses.
 * Undefined when it can never mean a service.
 */
export function targetOf(alias: string, callerNamespace: string): Target | undefined {
  if (isIPv4(alias) || publishedPort.test(alias)) return { address: alias };
  const labels = alias.toLowerCase().replace(/\.$/, "").split(".");
  if (labels.length > 1 && labels.at(-1) === "weft") labels.pop();
  const [name, namespace = callerNamespace, ...rest] = labels;
  if (name === undefined || rest.length > 0 || nameProblem(name) !== undefined || nameProblem(namespace) !== undefined) return undefined;
  return { service: canonicalName(namespace, name) };
}
