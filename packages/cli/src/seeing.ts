import { defaultTapRps, groupings, maxTapRps, parseFieldMatch, parseStatusRange } from "@weft/api/light";
import { type Command, Option } from "commander";
import type { StatOptions } from "./commands/stat.ts";
import type { TapCommandOptions } from "./commands/tap.ts";
import type { TopOptions } from "./commands/top.ts";
import { type Common, define, type Finish } from "./define.ts";
import { usageError } from "./errors.ts";
import { collect, parseCount, parseTime } from "./options.ts";

// Looked at, not read one by one.
const topRps = 1000;

/** Defines the commands by which people see what happens. */
export function defineSeeing(weft: Command, finish: Finish): void {
  define(weft, "dashboard", "Print a link to the page that shows you more than others see: commands and live requests.", [
    ["weft dashboard", "open it within a minute; it works once"],
  ]).action(async (options: Common) => (await import("./commands/dashboard.ts")).dashboard(options));

  define(weft, "stat [target]", "Show the success rate, rate and latency of calls, by service, workload, route or edge.", [
    ["weft stat", "the calls that each service answered in the last minute"],
    ["weft stat users --by workload --window 10s", "each instance of a service, last ten seconds"],
    ["weft stat --by edge --window 1h --watch", "who calls whom, as it goes"],
    ["weft stat --by route --from web", "what web calls, by route and method"],
    ["weft stat -o json", "exact numbers, by status class, with totals"],
  ])
    .addOption(new Option("--by <what>", "a row for each (default: service)").choices(groupings))
    .option("--from <service>", "only calls of this service")
    .option("--to <service>", "only calls to this service; without --from the numbers are the callers'")
    .addOption(new Option("--window <time>", "how far to look back, at most 12h (default: 60s)").argParser(parseTime))
    .option("--watch", "go on, once a second, until Ctrl-C", false)
    .action(async (target: string | undefined, options: StatOptions) =>
      finish(await (await import("./commands/stat.ts")).stat(target, options)),
    );

  tapping(
    define(weft, "tap [target]", "Show live requests: of a service or workload, or of all.", [
      ["weft tap", "every request of the mesh, as its caller saw it"],
      ["weft tap users --from web --status 5xx", "what web asked users for and failed"],
      ["weft tap --path /api/ --method POST --fields", "with the fields of requests and responses"],
      ["weft tap users --count 10 -o json", "ten requests, a JSON object a line"],
    ]),
    defaultTapRps,
  )
    .option("--fields", "show the fields of requests and responses", false)
    .option("--secrets", "show what usually is a secret, in paths and fields, instead of (redacted)", false)
    .option("--count <count>", "end after so many requests", parseCount)
    .option("--duration <time>", "end after so long", parseTime)
    .action(async (target: string | undefined, options: TapCommandOptions) =>
      finish(await (await import("./commands/tap.ts")).tap(target, options)),
    );

  tapping(
    define(weft, "top [target]", "Show which requests come most often, live.", [
      ["weft top", "of the whole mesh"],
      ["weft top users --status 5xx", "what users fails at"],
      ["weft top --duration 10s --rows 5 -o json", "for programs: a JSON object a second"],
    ]),
    topRps,
  )
    .option("--rows <count>", "rows (default: what fits the terminal, else 20)", parseCount)
    .addOption(new Option("--interval <time>", "time between two tables").argParser(parseTime).default(1, "1s"))
    .option("--duration <time>", "end after so long", parseTime)
    .action(async (target: string | undefined, options: TopOptions) =>
      finish(await (await import("./commands/top.ts")).top(target, { maxRps: topRps, ...options })),
    );

  define(weft, "why <caller> <called>", "Explain why calls from one service to another work, or do not (exit code 1).", [
    ["weft why web users", "names, endpoints, identities, certificates, last errors, on both sides"],
    ["weft why web users -o json", "with everything that was looked at"],
  ]).action(async (caller: string, called: string, options: Common) =>
    finish(await (await import("./commands/why.ts")).why(caller, called, options)),
  );

  define(weft, "edges", "Show who calls whom, by which identities, and who was refused.", [
    ["weft edges", "last minute"],
    ["weft edges --window 5m", "last five minutes"],
  ])
    .addOption(windowOption())
    .action(async (options: Common & { window: number }) => (await import("./commands/edges.ts")).edges(options));
}

// The options that choose requests.
function tapping(command: Command, rps: number): Command {
  return command
    .option("--from <service>", "only calls of this service")
    .option("--to <service>", "only calls to this service")
    .option("--method <method>", "only requests with this method")
    .option("--path <prefix>", "only requests whose path and query begin so")
    .option("--status <status>", "only requests that ended so: 500, 5xx or 200-299", checkStatus)
    .option("--header <field>", "only requests with this field: NAME or NAME=VALUE; repeatable", (text: string, before?: string[]) =>
      collect(checkField(text), before),
    )
    .option("--max-rps <count>", `at most so many a second; what comes beyond is counted (default: ${rps})`, parseMaxRps);
}

function checkStatus(text: string): string {
  if (parseStatusRange(text) !== undefined) return text;
  throw usageError(`${JSON.stringify(text)} is no status.`, "Write 500, 5xx or 200-299.");
}

function checkField(text: string): string {
  if (parseFieldMatch(text) !== undefined) return text;
  throw usageError(`${JSON.stringify(text)} names no field.`, "Write NAME or NAME=VALUE, for example --header content-type=text/html.");
}

function parseMaxRps(text: string): number {
  const value = parseCount(text);
  if (value > maxTapRps)
    throw usageError(`${JSON.stringify(text)} is too many a second.`, `At most ${maxTapRps} requests a second are shown.`);
  return value;
}

function windowOption(): Option {
  return new Option("--window <time>", "how far to look back, at most 12h").argParser(parseTime).default(60, "60s");
}
