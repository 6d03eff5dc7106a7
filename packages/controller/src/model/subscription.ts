import { isIPv4 } from "node:net";
import { nameProblem } from "@weft/api";
import { serviceKey } from "./records.ts";

/** Longest subscription: a DNS name. */
export const maxSubscriptionLength = 253;

/** The key of a port that a service has published on the host's loopback. */
export function publishedKey(port: number): string {
  return `127.0.0.1:${port}`;
}

const publishedPort = /^127\.0\.0\.1:[1-9]\d{0,4}$/;

/** Whether a subscription is for whatever service has published a port: not always the same one. */
export function isPublished(subscription: string): boolean {
  return publishedPort.test(subscription);
}

/**
 * The key by which a subscription finds its service in the service table: "name.namespace", a virtual address, or a published port.
 * Undefined when the name can never be a service's.
 */
export function resolveSubscription(subscription: string, callerNamespace: string): string | undefined {
  if (isIPv4(subscription) || isPublished(subscription)) return subscription;
  const labels = subscription.toLowerCase().replace(/\.$/, "").split(".");
  if (labels.length > 1 && labels.at(-1) === "weft") labels.pop();
  const [name, namespace = callerNamespace, ...rest] = labels;
  if (name === undefined || rest.length > 0 || nameProblem(name) !== undefined || nameProblem(namespace) !== undefined) return undefined;
  return serviceKey({ name, namespace });
}
