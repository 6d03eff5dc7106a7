import { type ApiObject, type DraftObject, ResourceClient, socketTransport } from "@weft/client";
import { complain, yaml } from "../output.ts";
import { wantedOf } from "../resources/last-applied.ts";
import type { DocumentOptions } from "../resources/options.ts";
import type { Wanted } from "../resources/plan.ts";
import { lookUp, plan, tryOut } from "../resources/send.ts";
import { shownObject } from "../resources/targets.ts";
import { type DiffLine, unifiedDiff } from "../resources/unified-diff.ts";
import { type Colour, colour, escapeControls } from "../terminal.ts";
import { readWanted } from "./apply.ts";

/** Shows what applying documents would change. Answers the exit code: 0 nothing, 1 something, 2 it cannot be said. */
export async function diff(options: DocumentOptions): Promise<number> {
  try {
    return await compareAll(options);
  } catch (error) {
    complain(error);
    return 2;
  }
}

async function compareAll(options: DocumentOptions): Promise<number> {
  const wanted = await readWanted(options, "diff");
  if (wanted === undefined) return 2;
  const client = new ResourceClient(socketTransport(options.state));
  const changes = (await plan(client, wanted)).filter(({ verb }) => verb !== "none");
  // What the server fills in is no difference: it says what would come of it.
  const { done, errors } = await tryOut(client, changes);
  let hasChanges = false;
  for (const { wanted: each, object } of done) {
    const before = await lookUp(client, each.kind, each.object.metadata);
    const lines = unifiedDiff(await shown(before), await shown(object));
    if (lines.length === 0) continue;
    hasChanges = true;
    process.stdout.write(`${heading(each, before).concat(lines.map(painted)).join("\n")}\n`);
  }
  for (const error of errors) complain(error);
  return errors.length > 0 ? 2 : hasChanges ? 1 : 0;
}

async function shown(object: ApiObject | undefined): Promise<string> {
  return object === undefined ? "" : yaml(wantedOf(object as DraftObject));
}

function heading({ kind, object, place }: Wanted, before: ApiObject | undefined): string[] {
  const title = shownObject(kind, object.metadata.name);
  return [`--- ${before === undefined ? "nothing" : `${title}, as it is`}`, `+++ ${title}, as ${place} has it`].map((line) =>
    colour("bold", escapeControls(line)),
  );
}

const colours: Record<DiffLine["mark"], Colour | undefined> = { " ": undefined, "-": "red", "+": "green", "@": "dim" };

function painted({ mark, text }: DiffLine): string {
  const line = escapeControls(mark === "@" ? text : `${mark}${text}`);
  const style = colours[mark];
  return style === undefined ? line : colour(style, line);
}
