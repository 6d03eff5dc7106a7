import { findKind, type Kind, kinds, namesOf } from "@weft/api/kinds";
import { nearest, type WeftError } from "@weft/api/light";
import { usageError } from "../errors.ts";

/** Objects that a command line asks for. */
export interface Target {
  kind: Kind;
  /** All of the kind without it. */
  name?: string;
}

/** How people name an object: `httproute/users`. */
export const shownObject = ({ singular }: Kind, name: string) => `${singular}/${name}`;

/** The kind that is called so; an unknown one is refused with what was meant. */
export function requireKind(name: string): Kind {
  // Also httproutes.gateway.networking.k8s.io, as kubectl prints it.
  const [bare = "", ...rest] = name.split(".");
  const kind = findKind(bare);
  const group = rest.join(".");
  if (kind !== undefined && ["", kind.group, `${kind.version}.${kind.group}`].includes(group)) return kind;
  throw unknownName(name, "kind", kinds.flatMap(namesOf), "`weft explain` lists the kinds.");
}

/** What is meant by `KIND`, `KIND,KIND`, `all`, `KIND NAME...` or `KIND/NAME...`. */
export function parseTargets(args: readonly string[], example: string): Target[] {
  const [first, ...names] = args;
  if (first === undefined) throw usageError("What is asked for is missing.", `For example: ${example}`);
  if (args.some((arg) => arg.includes("/"))) return args.map((arg) => parseOne(arg, example));
  const asked = first === "all" ? [...kinds] : first.split(",").map(requireKind);
  return names.length === 0 ? asked.map((kind) => ({ kind })) : names.flatMap((name) => asked.map((kind) => ({ kind, name })));
}

/** The one object that is meant by `KIND NAME` or `KIND/NAME`. */
export function parseObject(args: readonly string[], example: string): Required<Target> {
  const [target, ...more] = parseTargets(args, example);
  if (target?.name === undefined || more.length > 0) throw usageError("One object is needed.", `For example: ${example}`);
  return { kind: target.kind, name: target.name };
}

function parseOne(text: string, example: string): Target {
  const [kind = "", name = "", ...more] = text.split("/");
  if (name === "" || more.length > 0) throw usageError(`${JSON.stringify(text)} is no kind and name.`, `For example: ${example}`);
  return { kind: requireKind(kind), name };
}

/** Says that something is not known, and what was meant. */
export function unknownName(name: string, what: string, known: readonly string[], rest: string): WeftError {
  const meant = nearest(
    name.toLowerCase(),
    known.map((each) => each.toLowerCase()),
  );
  const suggestion = known.find((each) => each.toLowerCase() === meant);
  return usageError(`${JSON.stringify(name)} is no ${what}.${suggestion === undefined ? "" : ` Did you mean ${suggestion}?`}`, rest);
}
