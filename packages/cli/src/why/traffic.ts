import { type Edge, isClear, type Why } from "@weft/api/light";
import { grpcStatusName } from "../grpc-status.ts";
import { shortName } from "../names.ts";
import { count, counted, duration, percent } from "../numbers.ts";
import { explained } from "../reasons.ts";
import type { Finding } from "./finding.ts";

const isUsed = ({ from, requests, connections }: Edge) => from !== "" && requests + connections.opened + connections.failed > 0;

/** Whether there were calls in the last minute. */
export function calledLately({ edges }: Why): boolean {
  return edges.some(isUsed);
}

/** What the calls of the last minute say. */
export function trafficFindings({ edges, from, to }: Why): Finding[] {
  const served = [...new Set((to.service?.endpoints ?? []).flatMap(({ ports }) => ports.map(({ servicePort }) => servicePort)))];
  const isServed = ({ port }: Edge) => served.length === 0 || served.includes(port);
  const used = edges.filter(isUsed);
  // What fails on one port only is noted; what fails on all is the answer.
  const failing = used.some(hasSuccess) ? "warning" : "problem";
  return used.flatMap((edge) => [
    ...(isServed(edge) ? [] : [notServed(failing, edge, shortName(to.name), served)]),
    ...outcome(failing, edge, shortName(from.name), shortName(to.name)),
    ...protection(edge),
  ]);
}

function hasSuccess({ requests, failures, connections }: Edge): boolean {
  return requests === 0 ? connections.opened > 0 : failures < requests;
}

function notServed(level: Finding["level"], { port, from }: Edge, to: string, served: number[]): Finding {
  return {
    level,
    what: `${shortName(from)} calls ${to} on port ${port}, which ${to} does not serve`,
    evidence: [`It serves ${served.sort((a, b) => a - b).join(", ")}.`],
    todo: `Call one of these, or start ${to} with \`--port ${port}:PORT\` as well.`,
  };
}

function outcome(failing: Finding["level"], edge: Edge, from: string, to: string): Finding[] {
  const { port, requests, failures, successRate, latencyMs, errors, connections } = edge;
  const reasons = Object.entries(errors)
    .toSorted(([, a], [, b]) => b - a)
    .map(([code, times]) => `${count(times)} × ${explained(code)}`);
  const answers = answersOf(edge);
  const todo = `\`weft tap ${from} --to ${to}\` shows them one by one.`;
  if (requests === 0) {
    if (connections.failed === 0)
      return [
        {
          level: "ok",
          what: `${counted(connections.opened, "connection")} to port ${port} in the last minute`,
          evidence: [],
          todo: "",
        },
      ];
    const level = connections.opened === 0 ? "problem" : "warning";
    return [
      {
        level,
        what: `${counted(connections.failed, "connection")} to port ${port} could not be opened in the last minute`,
        evidence: reasons,
        todo,
      },
    ];
  }
  const evidence = [`Answers: ${answers.join(", ")}. Latency p50 ${duration(latencyMs.p50)}, p99 ${duration(latencyMs.p99)}.`, ...reasons];
  const calls = `${counted(requests, "call")} to port ${port} in the last minute`;
  if (failures === 0) return [{ level: "ok", what: `${calls}, all successful`, evidence, todo: "" }];
  if (failures < requests) return [{ level: "warning", what: `${calls}, of which ${percent(successRate)} succeeded`, evidence, todo }];
  return [{ level: failing, what: `${calls}, and none succeeded`, evidence, todo }];
}

// The outcome of a gRPC call is its own status; that of HTTP below it is 200 also when it failed.
function answersOf({ statusClasses, grpcStatuses }: Edge): string[] {
  const grpc = Object.entries(grpcStatuses).filter(([, times]) => times > 0);
  const calls = grpc.reduce((sum, [, times]) => sum + times, 0);
  const plain = Object.entries(statusClasses)
    .map(([digit, times]) => [digit, digit === "2" ? times - calls : times] as const)
    .filter(([, times]) => times > 0);
  return [
    ...grpc.map(([status, times]) => `${count(times)} with gRPC ${grpcStatusName(Number(status))}`),
    ...plain.map(([digit, times]) => `${count(times)} ${digit === "none" ? "without an answer" : `with ${digit}xx`}`),
  ];
}

function protection(edge: Edge): Finding[] {
  if (!isClear(edge)) return [];
  const todo = "Both programs need a sidecar for mutual TLS: `weft run`.";
  return [
    { level: "warning", what: `calls to port ${edge.port} go in clear`, evidence: ["Connections were opened without mutual TLS."], todo },
  ];
}
