import { isDeepStrictEqual } from "node:util";
import type { HttpRoute } from "@weft/api/kinds";
import type { StoredObject } from "../store/store.ts";
import { isService, parentsOf } from "./lists.ts";
import type { Finding } from "./view.ts";

/** Who writes statuses. */
export const controllerName = "weft.dev/controller";

type ParentStatus = NonNullable<HttpRoute["status"]>["parents"][number];
type Condition = ParentStatus["conditions"][number];

const maxMessages = 8;

/** Type of the condition that says on how many proxies a route is in force. */
export const programmedType = "weft.dev/Programmed";

/** A statement of a status. */
export type Statement = Pick<Condition, "status" | "reason" | "message">;

/**
 * The status of a route, from what was found: an entry for each Service that is its parent, beside those of other controllers. `programmed` says of a
 * parent, by its index, on how many proxies the route is in force. Whoever finds it equal to what the route has need not write it.
 */
export function routeStatus(
  route: StoredObject,
  findings: readonly Finding[],
  now: string,
  programmed: (parent: number) => Statement | undefined = () => undefined,
): { parents: ParentStatus[] } {
  const before = (route.status as HttpRoute["status"])?.parents ?? [];
  const { generation } = route.metadata;
  const own = parentsOf(route).flatMap((parentRef, index): ParentStatus[] => {
    if (!isService(parentRef)) return [];
    const known = before.find((each) => each.controllerName === controllerName && isDeepStrictEqual(each.parentRef, parentRef));
    const about = findings.filter(({ parent }) => parent === undefined || parent === index);
    const conditions = conditionsOf(about, programmed(index), known?.conditions ?? [], generation, now);
    return [{ parentRef, controllerName, conditions }];
  });
  return { parents: [...before.filter((each) => each.controllerName !== controllerName), ...own] };
}

function conditionsOf(
  findings: readonly Finding[],
  programmed: Statement | undefined,
  before: readonly Condition[],
  observedGeneration: number,
  now: string,
): Condition[] {
  const condition = (type: string, status: Condition["status"], reason: string, message: string): Condition => {
    const known = before.find((each) => each.type === type);
    const lastTransitionTime = known?.status === status ? known.lastTransitionTime : now;
    return { type, status, reason, message, lastTransitionTime, observedGeneration };
  };
  const of = (type: Finding["condition"]) => findings.filter((finding) => finding.condition === type);
  const holds = (type: "Accepted" | "ResolvedRefs", message: string) => {
    const [first] = of(type);
    return first === undefined ? condition(type, "True", type, message) : condition(type, "False", first.reason, told(of(type)));
  };
  const accepted = holds("Accepted", "The route is in force.");
  const [partly] = accepted.status === "True" ? of("PartiallyInvalid") : [];
  return [
    accepted,
    holds("ResolvedRefs", "Everything that the route names is there and may be used."),
    ...(partly === undefined ? [] : [condition("PartiallyInvalid", "True", partly.reason, told(of("PartiallyInvalid")))]),
    ...(programmed === undefined ? [] : [condition(programmedType, programmed.status, programmed.reason, programmed.message)]),
  ];
}

function told(findings: readonly Finding[]): string {
  const messages = [...new Set(findings.map(({ path, message }) => `${path}: ${message}`))];
  const more = messages.length - maxMessages;
  return [...messages.slice(0, maxMessages), ...(more > 0 ? [`And ${more} more.`] : [])].join(" ");
}
