import {
  defaultNamespace,
  defaultTapRps,
  defaultWindow,
  type Grouping,
  groupings,
  maxTapRps,
  maxWindow,
  nobodys,
  type TapQuery,
  type WeftError,
  weftError,
} from "@weft/api";
import type { Asked } from "../telemetry/query.ts";

// Longer than every name, address and id.
const maxTextLength = 300;
const maxPathLength = 2048;
const maxFields = 16;

/** The parameters of `GET /stat`. */
export function statQuery(query: URLSearchParams): [Grouping, Omit<Asked, "nowMs">] {
  const by = query.get("by") ?? "service";
  const grouping = groupings.find((each) => each === by);
  if (grouping === undefined) throw invalid("by", by, `is none of ${groupings.join(", ")}`);
  const texts = ["service", "workload", "from", "to"].flatMap((name) => {
    const text = name === "workload" ? textOf(query, name) : serviceOf(query, name);
    return text === undefined ? [] : [[name, text]];
  });
  return [grouping, { window: windowOf(query), ...Object.fromEntries(texts) }];
}

/** The parameter `window`, seconds. */
export function windowOf(query: URLSearchParams): number {
  const given = query.get("window") ?? String(defaultWindow);
  const window = /^\d{1,9}$/.test(given) ? Number(given) : 0;
  if (window < 1) throw invalid("window", given, `is not a whole number of seconds from 1 to ${maxWindow}`);
  if (window > maxWindow) {
    throw weftError("WEFT-C-WINDOW-NOT-KEPT", `Numbers of ${window} s were asked for, and those of the last ${maxWindow} s are kept.`);
  }
  return window;
}

/** A parameter that is a text; undefined when it is missing or empty. */
export function textOf(query: URLSearchParams, name: string, maxLength = maxTextLength): string | undefined {
  const text = query.get(name) ?? "";
  if (text.length > maxLength) throw invalid(name, text, `has more than ${maxLength} characters`);
  return text === "" ? undefined : text;
}

/** A parameter cannot be used. */
export function invalid(name: string, given: string, problem: string): WeftError {
  return weftError("WEFT-C-QUERY-INVALID", `${name}=${JSON.stringify(given.slice(0, 40))} ${problem}.`);
}

/** The parameters of `GET /tap`. */
export function tapQuery(query: URLSearchParams): TapQuery {
  const texts: [keyof TapQuery, string | undefined][] = [
    ["service", serviceOf(query, "service")],
    ["workload", textOf(query, "workload")],
    ["from", serviceOf(query, "from")],
    ["to", serviceOf(query, "to")],
    ["method", textOf(query, "method")],
    ["path", textOf(query, "path", maxPathLength)],
    ["status", textOf(query, "status")],
  ];
  const header = query.getAll("header").filter(Boolean);
  if (header.length > maxFields) throw invalid("header", String(header.length), `is more than ${maxFields} times there`);
  const maxRps = Number(query.get("maxRps") || defaultTapRps);
  if (!(Number.isInteger(maxRps) && maxRps >= 1 && maxRps <= maxTapRps)) {
    throw invalid("maxRps", String(query.get("maxRps")), `is not a whole number from 1 to ${maxTapRps}`);
  }
  const given = Object.fromEntries(texts.filter(([, text]) => text !== undefined));
  return { ...given, header, maxRps, fields: isSet(query, "fields"), secrets: isSet(query, "secrets") };
}

/** The parameters of `GET /why`. */
export function whyQuery(query: URLSearchParams): { from: string; to: string } {
  const [from, to] = [serviceOf(query, "from"), serviceOf(query, "to")];
  if (from === undefined || to === undefined) throw invalid(from === undefined ? "from" : "to", "", "is missing: a service is needed");
  return { from, to };
}

// A name without a dot is one of the namespace that is given beside it.
function serviceOf(query: URLSearchParams, name: string): string | undefined {
  const text = textOf(query, name);
  return text === undefined || text.includes(".") || nobodys.includes(text)
    ? text
    : `${text}.${textOf(query, "namespace") ?? defaultNamespace}`;
}

function isSet(query: URLSearchParams, name: string): boolean {
  const text = query.get(name) ?? "false";
  if (!["", "true", "false"].includes(text)) throw invalid(name, text, "is neither true nor false");
  return text !== "false";
}
