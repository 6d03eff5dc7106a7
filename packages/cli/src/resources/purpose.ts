import { usageError } from "../errors.ts";
import { isCurrent, programmed, statedOf } from "./conditions.ts";
import { isInForce, type Wish } from "./waiting.ts";

/** What `weft wait` waits for. */
export type Purpose = { for: "force" | "create" | "delete" } | { for: "condition"; type: string; status: string };

const statuses = ["True", "False", "Unknown"];

/** Reads `--for`: `condition=TYPE`, `condition=TYPE=STATUS`, `create` or `delete`; without it, that an object is in force. */
export function parseCondition(text: string | undefined): Purpose {
  if (text === undefined) return { for: "force" };
  if (text === "create" || text === "delete") return { for: text };
  const [, type, given = "True"] = /^condition=([A-Za-z0-9./_-]+)(?:=(\w+))?$/.exec(text) ?? [];
  const status = statuses.find((each) => each.toLowerCase() === given.toLowerCase());
  if (type === undefined || status === undefined)
    throw usageError(
      `${JSON.stringify(text)} is nothing that can be waited for.`,
      "Write --for condition=TYPE, --for condition=TYPE=False, --for create or --for delete.",
    );
  return { for: "condition", type: type === "Programmed" ? programmed : type, status };
}

/** What is waited for of one object. */
export function wishFor(purpose: Purpose, place: Omit<Wish, "judge">): Wish {
  switch (purpose.for) {
    case "force":
      return { ...place, judge: (object) => isInForce(object) };
    case "create":
      return { ...place, judge: (object) => object !== undefined || "it is not there" };
    case "delete":
      return { ...place, judge: (object) => object === undefined || "it is still there" };
    case "condition":
      return {
        ...place,
        judge: (object) => {
          if (object === undefined) return "it is not there";
          const about = statedOf(object).filter(({ condition }) => condition.type === purpose.type);
          const other = about.find(({ condition }) => condition.status !== purpose.status);
          if (other !== undefined)
            return `${purpose.type} is ${other.condition.status} (${other.condition.reason}): ${other.condition.message}`;
          if (about.length === 0) return `its status says nothing of ${purpose.type}`;
          return about.every(({ condition }) => isCurrent(condition, object)) || "its status is about an earlier version";
        },
      };
  }
}
