import { anonymous, isClear, type Why } from "@weft/api/light";
import { shortName } from "../names.ts";
import { calledFindings } from "./called.ts";
import { callerFindings } from "./caller.ts";
import type { Finding } from "./finding.ts";
import { calledLately, trafficFindings } from "./traffic.ts";

/** Whether calls can succeed, and what is known of it. */
export interface Explanation {
  ok: boolean;
  /** One sentence. */
  verdict: string;
  findings: Finding[];
  /** The way of a request, hop by hop; empty when there is none. */
  path: string[];
}

/** Says whether calls from one service to another can succeed, and why. */
export function explain(why: Why): Explanation {
  const [from, to] = [shortName(why.from.name), shortName(why.to.name)];
  const unknown = [why.from, why.to]
    .filter((end) => end.service === null && end.workloadCount === 0 && !(end === why.from && calledLately(why)))
    .map((end) => unknownFinding(end, why.edges.length > 0));
  const findings = unknown.length > 0 ? unknown : [...calledFindings(why), ...callerFindings(why), ...trafficFindings(why)];
  const worst = findings.find(({ level }) => level === "problem");
  const sorted = findings.toSorted((a, b) => order.indexOf(a.level) - order.indexOf(b.level));
  if (worst !== undefined)
    return { ok: false, verdict: `Calls from ${from} to ${to} fail: ${worst.what}`.replace(/[^?]$/, "$&."), findings: sorted, path: [] };
  // What ran to its end is no obstacle: it shows that calls work.
  if (why.from.workloadCount === 0) {
    const verdict = `Calls from ${from} to ${to} worked in the last minute; no instance of ${from} runs now.`;
    return { ok: true, verdict, findings: sorted, path: [] };
  }
  const requests = why.edges.reduce((sum, edge) => sum + edge.requests, 0);
  const odd = findings.some(({ level }) => level === "warning") ? ", with what is noted below" : "";
  const verdict =
    requests > 0
      ? `Calls from ${from} to ${to} work${odd}.`
      : `Calls from ${from} to ${to} can succeed${odd}; there was none in the last minute.`;
  return { ok: true, verdict, findings: sorted, path: pathOf(why) };
}

const order: Finding["level"][] = ["problem", "warning", "ok"];

function unknownFinding({ name, nearest }: Why["to"], wasCounted: boolean): Finding {
  if (name === anonymous) {
    return {
      level: "problem",
      what: "nobody can call it without an identity: none of its ports is open on this machine",
      evidence: ["No instance of it says that it published a port."],
      todo: "`weft run` publishes what `--port` names, unless `--no-publish` is given; `weft check` says which ports are taken.",
    };
  }
  if (wasCounted) {
    return {
      level: "problem",
      what: `${shortName(name)} has no endpoint: none of its instances runs any more`,
      evidence: ["The registry has no workload of it, and calls between the two were counted since the controller's start."],
      todo: `Look at what its program said last; \`weft run ${shortName(name)} -- PROGRAM\` starts one.`,
    };
  }
  const meant = nearest === null ? "" : `; did you mean ${JSON.stringify(shortName(nearest))}?`;
  return {
    level: "problem",
    what: `no service is called ${JSON.stringify(shortName(name))}${meant}`,
    evidence: ["The registry has neither a service nor a workload of this name."],
    todo: `\`weft status\` lists the services; \`weft run ${shortName(name)} -- PROGRAM\` starts one.`,
  };
}

// Of each side the first instance that can do it.
function pathOf({ from, to, edges }: Why): string[] {
  const caller = from.workloads.find(({ description }) => description !== null) ?? from.workloads[0];
  const held = caller?.description?.services.find(({ name }) => name === to.name);
  const endpoint = held?.endpoints.find(({ state }) => state === "answering") ?? held?.endpoints[0];
  const offered = to.service?.endpoints.find(({ id }) => id === endpoint?.id) ?? to.service?.endpoints[0];
  if (caller === undefined || offered === undefined) return [];
  const edge = edges.find(({ requests, totals }) => requests > 0 || totals.connections.opened > 0);
  const port = offered.ports.find(({ servicePort }) => servicePort === edge?.port) ?? offered.ports[0];
  const spoken = edge === undefined || edge.protocol === "unknown" ? "" : ` ${edge.protocol}`;
  const wire = offered.identity === "" || (edge !== undefined && isClear(edge)) ? "in clear" : "mutual TLS";
  return [
    `${shortName(from.name)}${from.name === anonymous ? "" : ` (${caller.id})`} calls ${shortName(to.name)}:${port?.servicePort ?? "?"}`,
    from.name === anonymous ? `the sidecar of ${caller.id}, at a published port` : `its sidecar, as ${caller.identity}`,
    `${wire}${spoken} to ${offered.address}:${offered.inboundPort || port?.targetPort}`,
    ...(offered.identity === "" ? [] : [`the sidecar of ${offered.id}, as ${offered.identity}`]),
    `the program on port ${port?.targetPort ?? "?"}`,
  ];
}
