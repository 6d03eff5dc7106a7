import type { Kind, Rule } from "../kinds/kind.ts";
import type { Fault, Path } from "./fault.ts";

/** The rules of a kind by where they are asked, so that an object is walked once. */
interface Branch {
  rules: Rule[];
  /** By the field's name; `[]` leads to the items of a list. */
  branches: Map<string, Branch>;
}

const trees = new WeakMap<Kind, Branch>();

/** Which rules of its kind an object breaks. Its fields must be known, of the right type, and filled in by their defaults. */
export function brokenRules(kind: Kind, object: unknown): Fault[] {
  const tree = trees.get(kind) ?? branch(kind.rules.map((rule) => ({ rule, steps: stepsOf(rule.at) })));
  trees.set(kind, tree);
  return [...walk(tree, object, [], object)];
}

const stepsOf = (at: string) => (at === "" ? [] : at.replaceAll("[]", ".[]").split("."));

function branch(rules: { rule: Rule; steps: string[] }[]): Branch {
  const here = rules.filter(({ steps }) => steps.length === 0).map(({ rule }) => rule);
  const further = Map.groupBy(
    rules.filter(({ steps }) => steps.length > 0),
    ({ steps }) => steps[0] as string,
  );
  const next = (group: typeof rules) => branch(group.map(({ rule, steps }) => ({ rule, steps: steps.slice(1) })));
  return { rules: here, branches: new Map([...further].map(([step, group]) => [step, next(group)])) };
}

function* walk({ rules, branches }: Branch, value: unknown, path: Path, object: unknown): Generator<Fault> {
  for (const { field, cause, remedy, warning, holds } of rules) {
    if (!holds(value, object))
      yield {
        code: warning ? "WEFT-R-NO-EFFECT" : "WEFT-R-RULE",
        path: [...path, ...(field?.split(".") ?? [])],
        at: "value",
        cause,
        remedy,
      };
  }
  for (const [step, inner] of branches) {
    if (step === "[]") for (const [index, item] of (value as unknown[]).entries()) yield* walk(inner, item, [...path, index], object);
    else {
      const found = (value as Record<string, unknown>)[step];
      if (found !== undefined) yield* walk(inner, found, [...path, step], object);
    }
  }
}
