import { weftError } from "@weft/api";
import type { StoredObject } from "../store/store.ts";

type Matches = (object: StoredObject) => boolean;

/** Which objects a list or watch is about, by its `labelSelector` and `fieldSelector`. Throws WEFT-C-QUERY-INVALID. */
export function selectorOf(query: URLSearchParams): Matches {
  const wanted = [...labelTerms(query.get("labelSelector") ?? ""), ...fieldTerms(query.get("fieldSelector") ?? "")];
  return (object) => wanted.every((matches) => matches(object));
}

/** A key, `!key`, or a key, an operator and one value or several in brackets. */
const labelTerm =
  /^(?:(?<absent>!)?\s*(?<key>[\w./-]+)|(?<named>[\w./-]+)\s*(?:(?<equality>==?|!=)\s*(?<value>[\w.-]*)|\s(?<set>in|notin)\s*\((?<values>[^()]*)\)))$/;

function labelTerms(text: string): Matches[] {
  return divide(text).map((term) => {
    const { absent, key, named = "", equality, value = "", set, values = "" } = labelTerm.exec(term)?.groups ?? {};
    const labelOf = (name: string) => (object: StoredObject) => (object.metadata.labels as Record<string, string> | undefined)?.[name];
    if (key !== undefined) {
      const label = labelOf(key);
      return (object) => (label(object) === undefined) === (absent !== undefined);
    }
    const label = labelOf(named);
    if (equality !== undefined) return (object) => (label(object) === value) === (equality !== "!=");
    if (set === undefined)
      throw weftError("WEFT-C-QUERY-INVALID", `labelSelector: ${JSON.stringify(term.slice(0, 100))} is no condition.`, labelHint);
    const any = new Set(values.split(",").map((each) => each.trim()));
    const isAny = (found: string | undefined) => found !== undefined && any.has(found);
    return (object) => isAny(label(object)) === (set === "in");
  });
}

const labelHint = { hint: "Write KEY=VALUE, KEY!=VALUE, KEY in (A, B), KEY notin (A, B), KEY or !KEY, with commas between." };

function fieldTerms(text: string): Matches[] {
  return divide(text).map((term) => {
    const { field, operator, value } = /^metadata\.(?<field>name|namespace)(?<operator>==?|!=)(?<value>[\w.-]*)$/.exec(term)?.groups ?? {};
    if (field === undefined)
      throw weftError("WEFT-C-QUERY-INVALID", `fieldSelector: ${JSON.stringify(term.slice(0, 100))} is no condition that is known here.`, {
        hint: "Objects are selected by metadata.name and metadata.namespace, with =, == or !=, and by labels.",
      });
    return ({ metadata }) => (String(metadata[field] ?? "") === value) === (operator !== "!=");
  });
}

/** Terms between commas that are in no brackets. */
const divide = (text: string) =>
  text
    .split(/,(?![^(]*\))/)
    .map((term) => term.trim())
    .filter((term) => term !== "");
