import { defaultWindow, type Grouping, groupings, maxWindow, type WeftError, weftError } from "@weft/api";
import type { Asked } from "../telemetry/query.ts";

// Longer than every name, address and id.
const maxTextLength = 300;

/** The parameters of `GET /stat`. */
export function statQuery(query: URLSearchParams): [Grouping, Omit<Asked, "nowMs">] {
  const by = query.get("by") ?? "service";
  const grouping = groupings.find((each) => each === by);
  if (grouping === undefined) throw invalid("by", by, `is none of ${groupings.join(", ")}`);
  const texts = ["service", "workload", "from", "to"].flatMap((name) => {
    const text = textOf(query, name);
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
