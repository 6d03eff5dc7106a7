import { isDeepStrictEqual } from "node:util";
import { isMapping } from "@weft/api/kinds";
import { badRequest } from "../status.ts";

/** Most steps of a patch. */
const maxSteps = 10_000;

/** What a JSON patch (RFC 6902) makes of a value. Throws WEFT-C-BODY-INVALID when a step cannot be made, or a test fails. */
export function jsonPatch(value: unknown, patch: unknown): unknown {
  if (!Array.isArray(patch)) throw badRequest("The JSON patch is no list of steps.");
  if (patch.length > maxSteps) throw badRequest(`The JSON patch has ${patch.length} steps, and at most ${maxSteps} are allowed.`);
  return patch.reduce<unknown>((result, step, index) => {
    try {
      return stepped(result, step);
    } catch (error) {
      if (!(error instanceof Impossible)) throw error;
      throw badRequest(`Step ${index} of the JSON patch cannot be made: ${error.message}.`);
    }
  }, value);
}

class Impossible extends Error {}

function stepped(value: unknown, step: unknown): unknown {
  if (!isMapping(step)) throw new Impossible("it is no mapping");
  const path = pointer(step.path, "path");
  const given = () => {
    if (!Object.hasOwn(step, "value")) throw new Impossible("it has no value");
    return step.value;
  };
  switch (step.op) {
    case "add":
      return put(value, path, given(), true);
    case "replace":
      at(value, path);
      return put(value, path, given(), false);
    case "remove":
      return taken(value, path);
    case "copy":
      return put(value, path, at(value, pointer(step.from, "from")), true);
    case "move": {
      const from = pointer(step.from, "from");
      if (path.length > from.length && from.every((part, index) => part === path[index]))
        throw new Impossible("it moves a value into itself");
      return put(taken(value, from), path, at(value, from), true);
    }
    case "test":
      if (!isDeepStrictEqual(at(value, path), given())) throw new Impossible(`the value at ${JSON.stringify(step.path)} is another one`);
      return value;
    default:
      throw new Impossible(`${JSON.stringify(step.op)} is none of add, remove, replace, move, copy and test`);
  }
}

function pointer(text: unknown, name: string): string[] {
  if (typeof text !== "string" || (text !== "" && !text.startsWith("/")))
    throw new Impossible(`its ${name} is no JSON pointer, such as /spec/ports/0`);
  return text
    .split("/")
    .slice(1)
    .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
}

function at(value: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>((inner, part) => {
    if (Array.isArray(inner)) return inner[indexOf(inner, part, inner.length - 1)];
    if (!isMapping(inner) || !Object.hasOwn(inner, part)) throw new Impossible(`there is nothing at ${JSON.stringify(part)}`);
    return inner[part];
  }, value);
}

function indexOf(items: readonly unknown[], part: string, most: number): number {
  const index = /^(0|[1-9]\d{0,8})$/.test(part) ? Number(part) : -1;
  if (index < 0 || index > most) throw new Impossible(`${JSON.stringify(part)} is no place in a list of ${items.length}`);
  return index;
}

/** A value in which something stands at a path; in a list it is put before what is there if it `isNew`. */
function put(value: unknown, [part, ...rest]: readonly string[], put_: unknown, isNew: boolean): unknown {
  if (part === undefined) return put_;
  if (Array.isArray(value)) {
    const isLast = rest.length === 0;
    const index = isLast && isNew && part === "-" ? value.length : indexOf(value, part, isLast && isNew ? value.length : value.length - 1);
    return isLast && isNew ? value.toSpliced(index, 0, put_) : value.with(index, put(value[index], rest, put_, isNew));
  }
  if (!isMapping(value)) throw new Impossible(`${JSON.stringify(part)} is a field of no mapping`);
  const inner = rest.length === 0 ? put_ : put(at(value, [part]), rest, put_, isNew);
  return Object.fromEntries([...Object.entries(value).filter(([field]) => field !== part), [part, inner]]);
}

function taken(value: unknown, path: readonly string[]): unknown {
  at(value, path);
  const [part, ...rest] = path;
  if (part === undefined) return null;
  if (Array.isArray(value)) {
    const index = Number(part);
    return rest.length === 0 ? value.toSpliced(index, 1) : value.with(index, taken(value[index], rest));
  }
  const others = Object.entries(value as object).filter(([field]) => field !== part);
  return Object.fromEntries(rest.length === 0 ? others : [...others, [part, taken((value as Record<string, unknown>)[part], rest)]]);
}
