import { findKind, kinds, namesOf } from "@weft/api/kinds";
import { ResourceClient, socketTransport } from "@weft/client";
import { namespaceOf } from "./get.ts";

/** Prints what may stand for the last of some words about objects: a kind, or a name of an object. Nothing when the controller does not answer. */
export async function complete(words: string[], { state }: { state: string }): Promise<void> {
  const candidates = await candidatesFor(words, async (kind, namespace) => {
    const { items } = await new ResourceClient(socketTransport(state)).list(kind, { namespace: namespaceOf(kind, { state, namespace }) });
    return items.map(({ metadata }) => metadata.name);
  }).catch(() => []);
  process.stdout.write(candidates.map((candidate) => `${candidate}\n`).join(""));
}

type NamesOf = (kind: (typeof kinds)[number], namespace: string | undefined) => Promise<string[]>;

/** What may stand for the last of `words`, which follow the command: `KIND`, `KIND NAME` or `KIND/NAME`, with options between. */
export async function candidatesFor(words: readonly string[], namesIn: NamesOf): Promise<string[]> {
  const at = words.findIndex((word) => word === "-n" || word === "--namespace");
  const namespace = at < 0 ? undefined : words[at + 1];
  const plain = words.filter((word, index) => !word.startsWith("-") && (at < 0 || index !== at + 1));
  const current = plain.at(-1) ?? "";
  const [typed = "", slash] = (current.includes("/") ? current : (plain[0] ?? "")).split("/");
  if (slash === undefined && plain.length <= 1) return [...new Set(["all", ...kinds.flatMap(namesOf)])];
  const kind = findKind(typed);
  if (kind === undefined) return [];
  const found = await namesIn(kind, namespace);
  return slash === undefined ? found : found.map((name) => `${typed}/${name}`);
}
