import { readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { ApiClient, nearest, statePaths, type Workload } from "@weft/api/light";
import { cliError } from "../errors.ts";
import { LogReader, readableLine } from "../log-reader.ts";
import { shortName, shownName } from "../names.ts";
import { say } from "../output.ts";
import { escapeControls } from "../terminal.ts";

const pollMs = 200;

/** Shows the last lines that the controller or the sidecars of a service wrote, and with `follow` what they write from now on. */
export async function logs(name: string | undefined, options: { state: string; follow: boolean; lines: number }): Promise<void> {
  const files = await logFiles(name ?? "controller", options.state);
  const readers = files.map((file) => new LogReader(file));
  const show = (file: string, lines: string[]) => {
    const prefix = files.length > 1 ? `${basename(file, ".log")} | ` : "";
    for (const line of lines) process.stdout.write(`${prefix}${escapeControls(readableLine(line))}\n`);
  };
  for (const reader of readers) {
    const lines = await reader.last(options.lines);
    if (lines.length === 0) say(`${reader.file} is empty.`);
    show(reader.file, lines);
  }
  while (options.follow) {
    for (const reader of readers) show(reader.file, await reader.more());
    await delay(pollMs);
  }
}

async function logFiles(name: string, stateDir: string): Promise<string[]> {
  const { logs: directory } = statePaths(stateDir);
  const present = (await readdir(directory).catch(() => [])).filter((file) => file.endsWith(".log")).map((file) => basename(file, ".log"));
  if (present.includes(name)) return [join(directory, `${name}.log`)];
  // Without a controller a service's workloads cannot be told; their ids still can.
  const workloads = await new ApiClient(stateDir).workloads().catch((): Workload[] => []);
  const services = workloads.map(({ service, namespace, id }) => ({ id, name: shownName({ name: service, namespace }) }));
  const running = services.filter((service) => service.name === shortName(name) || service.id === name).map(({ id }) => id);
  const ids = running.filter((id) => present.includes(id));
  if (ids.length > 0) return ids.map((id) => join(directory, `${id}.log`));
  if (running.length > 0) {
    throw cliError(
      "WEFT-L-LOG-UNKNOWN",
      `The sidecars of ${JSON.stringify(name)} run, and have no log in ${directory}: it was deleted.`,
      "A sidecar makes a log when it is started.",
    );
  }
  const meant = nearest(name, ["controller", ...services.map((service) => service.name), ...present]);
  throw cliError(
    "WEFT-L-LOG-UNKNOWN",
    `There is no log of ${JSON.stringify(name)} in ${directory}.${meant ? ` Did you mean ${JSON.stringify(meant)}?` : ""}`,
  );
}
