import type { RuleParts } from "./compile-route.ts";
import type { NamedValue } from "./compiled-route.ts";

/** What is not supported yet of some matches. */
export function regular(list: readonly { type: string }[], at: string): RuleParts["unsupported"][number][] {
  return list.flatMap(({ type }, index) =>
    type === "RegularExpression" ? [{ path: `${at}[${index}]`, what: "a RegularExpression" }] : [],
  );
}

/** Matches of fields: of several for the same name, in whatever case, the first holds. */
export function fieldsOf(headers: readonly NamedValue[]): NamedValue[] {
  const fields = headers.map(({ name, value }) => ({ name: name.toLowerCase(), value }));
  return fields.filter(({ name }, index) => fields.findIndex((each) => each.name === name) === index);
}
