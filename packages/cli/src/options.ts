import { nameProblem, nearest, type PortMapping, type Protocol, suggestName, weftError } from "@weft/api/light";
import { usageError } from "./errors.ts";

/** How a program's calls reach its sidecar. */
export const redirections = ["auto", "namespace", "proxy"] as const;
/** One of `redirections`. */
export type Redirection = (typeof redirections)[number];

const protocols: Record<string, Protocol> = { http1: "http1", http2: "http2", grpc: "http2", tcp: "tcp" };

/** A port from 1 to 65535. */
export function parsePort(text: string, what = "port"): number {
  const port = /^[0-9]{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65535) throw usageError(`${JSON.stringify(text)} is no ${what}.`, "Ports go from 1 to 65535.");
  return port;
}

/** `8080` serves 80 and 8080; `80:8080` serves exactly 80; `/http1`, `/http2`, `/grpc` or `/tcp` at the end says what is spoken. */
export function parsePortMapping(text: string): PortMapping[] {
  const [ports = "", protocolName, ...rest] = text.split("/");
  const protocol = protocolName === undefined ? undefined : protocols[protocolName];
  if (rest.length > 0 || (protocolName !== undefined && protocol === undefined)) {
    const meant = nearest(protocolName ?? "", Object.keys(protocols));
    throw usageError(
      `${JSON.stringify(protocolName)} in --port ${JSON.stringify(text)} is no protocol.${meant ? ` Did you mean ${meant}?` : ""}`,
      `Protocols are ${Object.keys(protocols).join(", ")}; without one it is detected.`,
    );
  }
  const parts = ports.split(":");
  if (parts.length > 2)
    throw usageError(`--port ${JSON.stringify(text)} has too many colons.`, "Write --port 80:8080, service port first.");
  const [first = "", second] = parts;
  const servicePort = parsePort(first);
  const targetPort = second === undefined ? servicePort : parsePort(second);
  const mapping = (port: number): PortMapping => ({ servicePort: port, targetPort, ...(protocol === undefined ? {} : { protocol }) });
  return second === undefined && servicePort !== 80 ? [mapping(80), mapping(servicePort)] : [mapping(servicePort)];
}

/** All `--port` options together. A port that is given exactly wins over the 80 that a short form adds; two exact ones contradict. */
export function parsePortMappings(texts: string[]): PortMapping[] {
  const exact = new Map<number, PortMapping>();
  const added = new Map<number, PortMapping>();
  for (const text of texts) {
    for (const mapping of parsePortMapping(text)) {
      const isAdded = mapping.servicePort === 80 && !/^80\b/.test(text);
      const known = isAdded ? added.get(80) : exact.get(mapping.servicePort);
      if (isAdded) {
        if (!known) added.set(80, mapping);
      } else if (known && known.targetPort !== mapping.targetPort) {
        throw usageError(
          `--port gives service port ${mapping.servicePort} twice.`,
          "Each port of the service leads to one port of the program.",
        );
      } else {
        exact.set(mapping.servicePort, mapping);
      }
    }
  }
  return [...new Map([...added, ...exact]).values()].sort((a, b) => a.servicePort - b.servicePort);
}

/** `users` or `users:8080`, answered as the launcher takes it: `users:80`, `users:8080`. A namespace may follow the name. */
export function parseUpstream(text: string): string {
  const [name = "", port = "80", ...rest] = text.split(":");
  if (rest.length > 0) throw usageError(`--upstream ${JSON.stringify(text)} has too many colons.`, "Write --upstream users:80.");
  for (const label of name.split(".")) checkName(label);
  return `${name}:${parsePort(port)}`;
}

/** Refuses what is no DNS label, with the nearest name that is one. */
export function checkName(name: string): string {
  const problem = nameProblem(name);
  if (problem === undefined) return name;
  const suggestion = suggestName(name);
  const meant = suggestion === undefined ? "" : ` Did you mean ${JSON.stringify(suggestion)}?`;
  throw weftError("WEFT-C-NAME-INVALID", `${JSON.stringify(name)} is no name for a service: ${problem}.${meant}`);
}

const unitSeconds: Record<string, number> = { "": 1, s: 1, m: 60, h: 3600 };

/** `90`, `90s`, `5m` or `1h` as seconds. */
export function parseTime(text: string): number {
  const [, digits, unit = ""] = /^([0-9]{1,6})([smh])?$/.exec(text) ?? [];
  const seconds = Number(digits ?? 0) * (unitSeconds[unit] ?? 0);
  if (seconds < 1) throw usageError(`${JSON.stringify(text)} is no length of time.`, "For example 30s, 5m or 1h.");
  return seconds;
}

/** Collects the values of an option that may be repeated. */
export function collect(value: string, earlier: string[] = []): string[] {
  return [...earlier, value];
}

/** A whole number of at least 1. */
export function parseCount(text: string): number {
  const value = /^[0-9]{1,9}$/.test(text) ? Number(text) : 0;
  if (value < 1) throw usageError(`${JSON.stringify(text)} is no whole number above 0.`, "For example 10.");
  return value;
}
