import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isWarning, type Kind, readResources } from "@weft/api/kinds";
import { WeftError } from "@weft/api/light";
import { type ApiObject, type DraftObject, ResourceClient, socketTransport } from "@weft/client";
import { cliError } from "../errors.ts";
import { complain, say, yaml } from "../output.ts";
import { lastAppliedAnnotation, wantedOf } from "../resources/last-applied.ts";
import { merge } from "../resources/merge.ts";
import { missingObject } from "../resources/missing.ts";
import type { ResourceOptions } from "../resources/options.ts";
import { problemError } from "../resources/problems.ts";
import { lookUp } from "../resources/send.ts";
import { parseObject, shownObject } from "../resources/targets.ts";
import { namespaceOf } from "./get.ts";

/** Opens an object in an editor, and makes what is there what was written. Answers the exit code. */
export async function edit(args: string[], options: ResourceOptions): Promise<number> {
  const { kind, name } = parseObject(args, "weft edit httproute/users");
  const client = new ResourceClient(socketTransport(options.state));
  const namespace = namespaceOf(kind, options);
  const live = await lookUp(client, kind, { name, namespace });
  if (live === undefined) throw await missingObject(client, kind, name, namespace);
  if (kind.readOnly) throw cliError("WEFT-L-KIND-READ-ONLY", `${kind.plural} are written by the controller alone.`);

  const before = wantedOf(live as DraftObject);
  const text = await yaml(before);
  const folder = mkdtempSync(join(tmpdir(), "weft-edit-"));
  const path = join(folder, `${kind.singular}-${name}.yaml`);
  writeFileSync(path, text, { mode: 0o600 });
  let isKept = false;
  try {
    await openEditor(path);
    const written = readFileSync(path);
    if (written.equals(Buffer.from(text))) {
      say("Nothing was changed.");
      return 0;
    }
    const object = readEdited(written, path, kind, before);
    if (object === undefined) isKept = true;
    else await client.update(kind, edited(before, object, live));
    if (!isKept) process.stdout.write(`${shownObject(kind, name)} edited\n`);
  } catch (error) {
    if (!(error instanceof WeftError) || error.code === "WEFT-L-EDITOR-FAILED") throw error;
    isKept = true;
    complain(error);
  } finally {
    if (!isKept) rmSync(folder, { recursive: true });
  }
  if (isKept)
    complain(cliError("WEFT-L-EDIT-REFUSED", "Nothing was changed.", `Your text is in ${path}: mend it, and \`weft apply -f ${path}\`.`));
  return isKept ? 1 : 0;
}

/** The object as it was edited; undefined when something is wrong with it, which is said then. */
function readEdited(text: Uint8Array, path: string, kind: Kind, before: DraftObject): DraftObject | undefined {
  const { resources, problems } = readResources([{ file: path, text }]);
  for (const problem of problems) complain(problemError(problem));
  const [read, ...more] = resources;
  if (problems.some((problem) => !isWarning(problem))) return undefined;
  const object = read?.written as DraftObject | undefined;
  const isSame =
    object?.kind === kind.kind && object.metadata.name === before.metadata.name && object.metadata.namespace === before.metadata.namespace;
  if (object !== undefined && isSame && more.length === 0) return object;
  say("The text is to be one object, of the kind, namespace and name that it had.");
  return undefined;
}

/** What is sent: what was edited, with what the editor did not show, and only if nobody else changed it meanwhile. */
function edited(before: DraftObject, object: DraftObject, live: ApiObject): DraftObject {
  const note = live.metadata.annotations?.[lastAppliedAnnotation];
  const merged = merge(before, object, live) as DraftObject;
  if (note === undefined) return merged;
  const annotations = { ...(merged.metadata.annotations as object | undefined), [lastAppliedAnnotation]: note };
  return { ...merged, metadata: { ...merged.metadata, annotations } };
}

async function openEditor(path: string): Promise<void> {
  const editor = process.env.VISUAL || process.env.EDITOR || "vi";
  // As others do it, so that EDITOR may have arguments.
  const child = spawn("sh", ["-c", `${editor} "$1"`, "sh", path], { stdio: "inherit" });
  const [code, signal] = await once(child, "close");
  if (code === 0) return;
  const how = signal === null ? `exit code ${code}` : String(signal);
  throw cliError("WEFT-L-EDITOR-FAILED", `The editor ${JSON.stringify(editor)} ended with ${how}, so nothing was changed.`);
}
