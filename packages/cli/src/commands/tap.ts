import { ApiClient, type TapLine, type TapQuery, WeftError, weftError } from "@weft/api/light";
import { endOnSignals } from "../ending.ts";
import { count } from "../numbers.ts";
import { type Format, say, yaml } from "../output.ts";
import { requestLines } from "../tap/lines.ts";
import { findServiceName, findTarget, knownNames } from "../targets.ts";
import { jsonLine } from "./watch.ts";

// Long enough for a service that is called now and then, short enough not to make people wonder.
const quietMs = 3000;

/** Which requests are watched, as the command line says it. */
export interface TapOptions extends Pick<TapQuery, "from" | "to" | "method" | "path" | "status" | "header" | "maxRps"> {
  state: string;
  output: Format;
}

/** What follows `weft tap` on the command line. */
export interface TapCommandOptions extends TapOptions {
  fields: boolean;
  secrets: boolean;
  /** End after so many requests. */
  count?: number;
  /** End after so many seconds. */
  duration?: number;
}

/** Shows live requests until a signal, or until there were enough. Answers the exit code. */
export async function tap(name: string | undefined, options: TapCommandOptions): Promise<number> {
  const client = new ApiClient(options.state);
  const query: TapQuery = {
    ...(await tapQuery(client, name, options)),
    fields: options.fields,
    secrets: options.secrets,
  };
  const ending = endingOf(options.duration);
  let [shown, dropped] = [0, 0];
  for await (const line of tapLines(client, query, ending)) {
    if (line.kind === "dropped") {
      sayDropped(line);
      dropped += line.requests;
    }
    if (line.kind === "watching") continue;
    if (options.output === "json") process.stdout.write(jsonLine(line));
    else if (options.output === "yaml") process.stdout.write(`---\n${await yaml(line)}`);
    else if (line.kind === "request") {
      const { isTTY, columns } = process.stdout;
      for (const text of requestLines(line, { width: isTTY ? columns || 80 : Number.POSITIVE_INFINITY })) process.stdout.write(`${text}\n`);
    }
    if (line.kind === "request") shown++;
    if (shown === options.count) return 0;
  }
  if (ending.reason === 0 && shown + dropped === 0) say("Nothing matched.");
  return ending.reason as number;
}

/** The query of what the command line names. An unknown name is refused with the nearest one. */
export async function tapQuery(client: ApiClient, name: string | undefined, options: TapOptions): Promise<TapQuery> {
  const { from, to, method, path, status, header, maxRps } = options;
  const isNamed = [name, from, to].some((each) => each !== undefined);
  const known = isNamed ? await knownNames(client, { counted: true }) : { services: [], workloads: new Map<string, string>() };
  return {
    ...(name === undefined ? {} : findTarget(name, known)),
    ...(from === undefined ? {} : { from: findServiceName(from, known) }),
    ...(to === undefined ? {} : { to: findServiceName(to, known) }),
    ...Object.fromEntries(Object.entries({ method, path, status, header, maxRps }).filter(([, value]) => value !== undefined)),
  };
}

/** A signal that aborts at the user's wish, or with 0 after so many seconds. */
export function endingOf(seconds: number | undefined): AbortSignal {
  const signals = endOnSignals();
  if (seconds === undefined) return signals;
  const time = new AbortController();
  setTimeout(() => time.abort(0), seconds * 1000).unref();
  return AbortSignal.any([signals, time.signal]);
}

/** The lines of a tap until `ending`; says so when nothing matches for some seconds. */
export async function* tapLines(client: ApiClient, query: TapQuery, ending: AbortSignal): AsyncGenerator<TapLine> {
  let watching: Extract<TapLine, { kind: "watching" }> | undefined;
  const quiet = setTimeout(() => say(describeQuiet(watching)), quietMs);
  try {
    for await (const line of client.tap(query, ending)) {
      if (line.kind === "watching") watching = line;
      else clearTimeout(quiet);
      yield line;
    }
  } catch (error) {
    if (ending.aborted) return;
    if (error instanceof WeftError) throw error;
    throw connectionLost(error);
  } finally {
    clearTimeout(quiet);
  }
  if (!ending.aborted) throw connectionLost();
}

function connectionLost(cause?: unknown): WeftError {
  const hint = "`weft status` says whether it runs, `weft up` starts it.";
  return weftError("WEFT-L-CONTROLLER-UNREACHABLE", "The controller ended, or its connection did, so nothing more is shown.", {
    hint,
    cause,
  });
}

/** Says what is watched while nothing matches. */
export function describeQuiet(watching: { sidecars: number; unreachable: string[] } | undefined): string {
  const { sidecars, unreachable } = watching ?? { sidecars: 0, unreachable: [] };
  const watched =
    sidecars === 0
      ? "No sidecar is watched"
      : `Nothing matched yet; ${sidecars === 1 ? "one sidecar is" : `${sidecars} sidecars are`} watched`;
  const missing =
    unreachable.length === 0 ? "" : `, and not connected to the controller are those of ${unreachable.slice(0, 5).join(", ")}`;
  const more = unreachable.length > 5 ? ` and ${unreachable.length - 5} more` : "";
  return `${watched}${missing}${more}. What starts from now on is watched, too.`;
}

/** Says what is not shown. */
export function sayDropped({ requests, error }: Extract<TapLine, { kind: "dropped" }>): void {
  if (error !== "") say(`A sidecar ended its part of the tap (${error}).`);
  if (requests > 0) say(`${count(requests)} more matched and ${requests === 1 ? "is" : "are"} not shown; --max-rps allows more.`);
}
