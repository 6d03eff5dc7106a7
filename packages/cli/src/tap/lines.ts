import { isFailure, type TapField, type TapRequest } from "@weft/api/light";
import { grpcStatusName } from "../grpc-status.ts";
import { shortName } from "../names.ts";
import { bytes, duration, nothing } from "../numbers.ts";
import { explained, type meaningOf } from "../reasons.ts";
import { colour, cut, escapeControls } from "../terminal.ts";

const maxName = 60;
const maxMethod = 20;
const minWhat = 24;
// Where nothing says how wide a line may be.
const whatOfPipes = 200;
const fieldOfPipes = 1000;

/** How requests are written. */
export interface Look {
  /** Columns of the terminal; infinite where there is none. */
  width: number;
  paint?: typeof colour;
  meaning?: typeof meaningOf;
}

/** A request for people: a line, and one for each field that came with it. Whatever programs put into it is harmless on a terminal. */
export function requestLines(request: TapRequest, { width, paint = colour, meaning }: Look): string[] {
  const who = `${clock(request.time)}  ${party(request.from)} -> ${party(request.to)}:${request.port}`;
  const sizes = `${bytes(request.requestBytes)}/${bytes(request.responseBytes)}`;
  const rest = [
    request.headLatencyMs === null ? duration(request.latencyMs) : `${duration(request.headLatencyMs)}/${duration(request.latencyMs)}`,
    sizes,
    // What was never sent was not protected, nor was it in clear.
    request.attempts === 0 ? nothing : request.tls ? "mTLS" : "clear",
    ...(request.route === "" ? [] : [`route ${cut(escapeControls(shownRoute(request.route)), maxName)}`]),
    ...(request.attempts > 1 ? [`${request.attempts} attempts`] : []),
    ...(request.error === "" ? [] : [escapeControls(explained(request.error, meaning))]),
  ].join("  ");
  const status = outcome(request);
  const room = width === Number.POSITIVE_INFINITY ? whatOfPipes : Math.max(minWhat, width - who.length - status.length - rest.length - 6);
  const shown = `${who}  ${cut(what(request), room)}  ${paint(isBad(request) ? "red" : "green", status)}  ${rest}`;
  return [shown, ...fieldLines(">", request.requestFields ?? [], width), ...fieldLines("<", request.responseFields ?? [], width)];
}

/** Whether a request failed, as `weft stat` counts it. */
export function isBad({ method, status, grpcStatus, error }: TapRequest): boolean {
  // Opaque connections have no answer that could be missing.
  if (method === "") return error !== "";
  return isFailure({ statusClass: status === null ? 0 : Math.floor(status / 100), grpcStatus: grpcStatus ?? undefined });
}

function what({ method, path, protocol }: TapRequest): string {
  if (method === "") return protocol === "unknown" ? "connection" : `${protocol} connection`;
  return `${cut(escapeControls(method), maxMethod)} ${escapeControls(path)}`;
}

function outcome({ method, status, grpcStatus }: TapRequest): string {
  if (grpcStatus !== null) return grpcStatusName(grpcStatus);
  if (status !== null) return String(status);
  return method === "" ? "closed" : "no answer";
}

function party(name: string): string {
  return name === "" ? "unknown" : cut(escapeControls(shortName(name)), maxName);
}

// As names of services are shown: those of the namespace "default" without it.
function shownRoute(route: string): string {
  return route.replace(/^default\//, "");
}

// In this machine's time, as people compare it with their clocks and logs.
function clock(time: string): string {
  const date = new Date(time);
  const two = (value: number) => String(value).padStart(2, "0");
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${String(date.getMilliseconds()).padStart(3, "0")}`;
}

function fieldLines(mark: string, fields: TapField[], width: number): string[] {
  const room = width === Number.POSITIVE_INFINITY ? fieldOfPipes : width;
  return fields.map(({ name, value }) => cut(`    ${mark} ${escapeControls(name)}: ${escapeControls(value)}`, room));
}
