import { maxInputBytes, type Problem, type Read, readResources, type Source } from "@weft/api/kinds";
import { WeftError } from "@weft/api/light";
import { cliError, usageError } from "../errors.ts";
import { filesOf, readBytes } from "../input.ts";

/** Which documents a command line names. */
export interface Filenames {
  filename?: string[];
  recursive: boolean;
}

/** What documents say. */
export interface Documents {
  resources: Read[];
  /** What is wrong with those that are not among `resources`, and warnings. */
  problems: Problem[];
  /** What could not be read at all. */
  failures: WeftError[];
}

/** Reads all documents that `-f` names. `command` is for the example, when it names none. */
export async function readDocuments({ filename = [], recursive }: Filenames, command: string, namespace?: string): Promise<Documents> {
  if (filename.length === 0) throw usageError("Which documents is missing.", `For example: weft ${command} -f routes.yaml`);
  const { sources, failures } = await readAll(filename, recursive);
  const { resources, problems } = readResources(sources, namespace);
  if (resources.length + problems.length + failures.length === 0) {
    failures.push(cliError("WEFT-L-NO-OBJECTS", `There are no objects in ${filename.map((path) => JSON.stringify(path)).join(", ")}.`));
  }
  return { resources, problems, failures };
}

/** What is to be read, and what of it cannot be. Of all together hardly more is held than may be checked. */
async function readAll(paths: string[], recursive: boolean): Promise<{ sources: Source[]; failures: WeftError[] }> {
  const sources: Source[] = [];
  const failures: WeftError[] = [];
  let room = maxInputBytes;
  const attempt = async <Value>(read: () => Value | Promise<Value>): Promise<Value | undefined> => {
    try {
      return await read();
    } catch (error) {
      if (!(error instanceof WeftError)) throw error;
      failures.push(error);
      return undefined;
    }
  };
  for (const path of paths) {
    for (const file of (await attempt(() => filesOf(path, recursive))) ?? []) {
      const bytes = await attempt(() => readBytes(file, Math.max(0, room)));
      if (bytes === undefined) continue;
      room -= bytes.length;
      sources.push({ file: file === "-" ? "standard input" : file, text: bytes });
      if (room < 0) return { sources, failures };
    }
  }
  return { sources, failures };
}
