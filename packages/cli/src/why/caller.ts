import type { DescribedWorkload, HeldEndpoint, HeldRoutes, HeldService, Why } from "@weft/api/light";
import { shortName } from "../names.ts";
import { counted, duration, percent } from "../numbers.ts";
import { certificateProblem, errorEvidence, type Finding, isNews, judged, silenceOf } from "./finding.ts";
import { calledLately } from "./traffic.ts";

type Told = Omit<Finding, "level">;

/** What the caller's sidecars hold of the called. */
export function callerFindings(why: Why): Finding[] {
  const { from, to, nowMs } = why;
  if (from.workloadCount === 0 && calledLately(why)) {
    const evidence = ["The registry has no workload of it any more, but its calls of the last minute were counted."];
    return [{ level: "ok", what: `no instance of ${shortName(from.name)} runs now`, evidence, todo: "" }];
  }
  if (from.workloadCount === 0) {
    return [
      {
        level: "problem",
        what: `no instance of ${shortName(from.name)} runs`,
        evidence: ["The registry has no workload of it."],
        todo: `Start one: \`weft run ${shortName(from.name)} -- PROGRAM\`.`,
      },
    ];
  }
  const wrong = from.workloads.flatMap((workload) =>
    [silenceOf(workload), certificateProblem(workload, nowMs), ...heldProblems(why, workload)]
      .filter((finding) => finding !== undefined)
      .map((finding) => ({ id: workload.id, finding })),
  );
  const sound = from.workloads.filter(({ id }) => !wrong.some((each) => each.id === id));
  const troubled = from.workloads.flatMap(({ id, description }) => {
    const errors = (description?.errors ?? []).filter((error) => isNews(error, nowMs) && error.peer === to.name);
    return errors.length === 0 ? [] : [trouble(id, errorEvidence(errors, nowMs), shortName(to.name))];
  });
  return [
    ...judged(from.workloads.length, wrong),
    ...troubled,
    ...from.workloads.flatMap((each) => endpointWarnings(why, each)),
    ...sound.flatMap((each) => soundFindings(why, each)),
  ];
}

/** What a sidecar holds of the called; undefined when its program never asked for it. */
function heldBy({ to }: Why, { description }: DescribedWorkload): HeldService | undefined {
  const names = [to.name, shortName(to.name)];
  return description?.services.find(({ name, alias }) => name === to.name || names.includes(alias.replace(/\.weft$/, "")));
}

function heldProblems(why: Why, workload: DescribedWorkload): (Told | undefined)[] {
  const held = heldBy(why, workload);
  if (held === undefined || why.to.service === null) return [];
  const name = shortName(why.to.name);
  const offered = why.to.service.endpoints;
  const todo = `If it stays so: \`weft logs ${workload.id}\`, and report it.`;
  if (held.name === "") {
    return [
      {
        what: `${workload.id} does not know that ${name} exists`,
        evidence: ["The controller does, and its sidecar was not told yet."],
        todo,
      },
    ];
  }
  if (offered.length > 0 && held.endpoints.length === 0) {
    return [
      {
        what: `${workload.id} knows no endpoint of ${name}`,
        evidence: [`The controller offers ${offered.length}.`, ...versions(why, held)],
        todo,
      },
    ];
  }
  const dead = held.endpoints.filter(({ state }) => state === "silent" || state === "unreachable");
  if (dead.length === 0 || dead.length < held.endpoints.length) return [];
  return [
    {
      what: dead.length === 1 ? describeEndpoint(dead[0] as HeldEndpoint) : `none of the ${dead.length} endpoints answers ${workload.id}`,
      evidence: dead.map((endpoint) => endpointEvidence(endpoint, why.nowMs)),
      todo: `Look at the programs of ${name} and their sidecars: \`weft status\`, \`weft logs ${name}\`.`,
    },
  ];
}

function endpointWarnings(why: Why, workload: DescribedWorkload): Finding[] {
  const held = heldBy(why, workload);
  if (held === undefined || held.name === "") return [];
  const name = shortName(why.to.name);
  const dead = held.endpoints.filter(({ state }) => state === "silent" || state === "unreachable");
  const some = dead.length > 0 && dead.length < held.endpoints.length ? dead : [];
  const findings = some.map(
    (endpoint): Finding => ({
      level: "warning",
      what: `${describeEndpoint(endpoint)}; the others get its calls`,
      evidence: [endpointEvidence(endpoint, why.nowMs)],
      todo: `\`weft logs ${endpoint.id}\` says what its sidecar sees.`,
    }),
  );
  if (why.version === null || held.version === why.version) return findings;
  return [
    ...findings,
    {
      level: "warning",
      what: `${workload.id} is behind on ${name}`,
      evidence: versions(why, held),
      todo: `Nothing, if it is gone when asked again; else \`weft logs ${workload.id}\`.`,
    },
  ];
}

function versions({ version }: Why, held: HeldService): string[] {
  return [`It holds version ${held.version || "none"}, the controller ${version ?? "none"}.`];
}

function trouble(id: string, evidence: string[], name: string): Finding {
  return {
    level: "warning",
    what: `${id} had trouble with ${name} in the last minute`,
    evidence,
    todo: `\`weft tap ${id} --to ${name}\` shows the requests.`,
  };
}

function describeEndpoint({ id, state, answeredMsAgo }: HeldEndpoint): string {
  if (state === "unreachable") return `endpoint ${id} cannot be reached`;
  return answeredMsAgo === null ? `endpoint ${id} never answered` : `endpoint ${id} has been silent for ${duration(answeredMsAgo)}`;
}

function endpointEvidence(endpoint: HeldEndpoint, nowMs: number): string {
  const { id, address, state, pending, latencyMs, failures, connections, lastError } = endpoint;
  const numbers = `${pending} under way, recent latency ${duration(latencyMs)}, recent failures ${percent(failures)}, ${counted(connections, "connection")}`;
  const last = lastError === null ? "" : `; last: ${errorEvidence([lastError], nowMs).join("")}`;
  return `${id} at ${address}: ${state}, ${numbers}${last}`;
}

function routesEvidence({ port, name, version, routes }: HeldRoutes): string {
  if (version === "")
    return `Port ${port} is to be routed by ${name}, of which it holds nothing that it can use: requests go to the service itself.`;
  return `Port ${port} is routed by ${routes.join(", ")} (version ${version} of ${name}).`;
}

function soundFindings(why: Why, workload: DescribedWorkload): Finding[] {
  const held = heldBy(why, workload);
  const name = shortName(why.to.name);
  const version = `Its sidecar is ${workload.description?.version ?? "unknown"}, identity ${workload.identity}.`;
  if (held === undefined) {
    const what = `${workload.id} never asked for ${name}: its program has not looked the name up yet`;
    return [{ level: "ok", what, evidence: [version], todo: "" }];
  }
  if (held.name === "") return [];
  const learned = held.learned.map(
    ({ port, serverFirst }) => `port ${port} ${serverFirst ? "is begun by the server" : "is begun by the caller"}`,
  );
  return [
    {
      level: "ok",
      what: `${workload.id} knows ${counted(held.endpoints.length, "endpoint")} of ${name}`,
      evidence: [
        version,
        ...held.endpoints.map((endpoint) => endpointEvidence(endpoint, why.nowMs)),
        ...(learned.length > 0 ? [`Learned: ${learned.join(", ")}.`] : []),
        ...held.routes.map(routesEvidence),
      ],
      todo: "",
    },
  ];
}
