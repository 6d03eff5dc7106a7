import { isIPv4 } from "node:net";
import { nameProblem } from "@weft/api";
import { serviceKey } from "./records.ts";

/** Longest subscription: a DNS name. */
export const maxSubscriptionLength = 253;

/**
 * The key by which a subscription finds its service in the service table: "name.namespace", or a virtual address.
 * Undefined when the name can never be a service's.
 */
export function resolveSubscription(subscription: string, callerNamespace: string): string | undefined {
  if (isIPv4(subscription)) return subscription;
  const labels = subscription.toLowerCase().replace(/\.$/, "").split(".");
  if (labels.length > 1 && labels.at(-1) === "weft") labels.pop();
  const [name, namespace = callerNamespace, ...rest] = labels;
  if (name === undefined || rest.length > 0 || nameProblem(name) !== undefined || nameProblem(namespace) !== undefined) return undefined;
  return serviceKey({ name, namespace });
}
