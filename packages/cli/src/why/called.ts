import type { DescribedWorkload, Why } from "@weft/api/light";
import { shortName } from "../names.ts";
import { counted } from "../numbers.ts";
import { certificateProblem, errorEvidence, type Finding, isNews, judged, silenceOf } from "./finding.ts";

/** What the registry and the called's sidecars say of the called. */
export function calledFindings({ to, from, nowMs }: Why): Finding[] {
  const name = shortName(to.name);
  const offered = to.service?.endpoints ?? [];
  const plain = offered.filter(({ identity }) => identity === "");
  const wrong = to.workloads.flatMap((workload) =>
    [notListening(name, workload), silenceOf(workload), certificateProblem(workload, nowMs)]
      .filter((finding) => finding !== undefined)
      .map((finding) => ({ id: workload.id, finding })),
  );
  const findings = judged(to.workloads.length + plain.length, wrong);
  if (offered.length === 0 && !findings.some(({ level }) => level === "problem")) {
    const waiting = to.workloads.map(({ id, state }) => `${id} is ${state}`).join(", ");
    findings.unshift({
      level: "problem",
      what: `${name} has no endpoint`,
      evidence: [waiting === "" ? "No instance of it runs." : `Of its instances ${waiting}.`],
      todo: `Start one: \`weft run ${name} -- PROGRAM\`.`,
    });
  }
  const troubled = to.workloads.flatMap(({ id, description }) => {
    const errors = (description?.errors ?? []).filter((error) => isNews(error, nowMs) && ["", from.name].includes(error.peer));
    return errors.length === 0 ? [] : [{ id, errors }];
  });
  return [
    ...findings,
    ...troubled.map(
      ({ id, errors }): Finding => ({
        level: "warning",
        what: `the sidecar of ${id} had trouble in the last minute`,
        evidence: errorEvidence(errors, nowMs),
        todo: `\`weft logs ${id}\` says more.`,
      }),
    ),
    ...(offered.length === 0 ? [] : [offers(name, to)]),
  ];
}

function notListening(name: string, { id, ports, listening, command }: DescribedWorkload): Omit<Finding, "level"> | undefined {
  if (listening === null) return undefined;
  const missing = [...new Set(ports.map(({ targetPort }) => targetPort))].filter((port) => !listening.includes(port));
  if (ports.length > 0 && missing.length === 0) return undefined;
  const port = missing.length === 0 ? "any port" : `port ${missing.join(", ")}`;
  return {
    what: `${name} has no endpoint in ${id}: its program does not listen on ${port}`,
    evidence: [
      `${listening.length === 0 ? "It listens on nothing" : `It listens on ${listening.join(", ")}`}. Started as: ${command.join(" ")}`,
    ],
    todo: "Look at what the program says; if it listens on another port, start it with that one: `--port 80:PORT`.",
  };
}

function offers(name: string, { service, workloadCount }: Why["to"]): Finding {
  const endpoints = service?.endpoints ?? [];
  const ports = [...new Set(endpoints.flatMap((endpoint) => endpoint.ports.map(({ servicePort }) => servicePort)))].sort((a, b) => a - b);
  return {
    level: "ok",
    what: `${name} offers ${counted(endpoints.length, "endpoint")} on ${ports.length === 1 ? "port" : "ports"} ${ports.join(", ")}`,
    evidence: [`Registered instances: ${workloadCount}; its address is ${service?.virtualAddress ?? "none"}.`],
    todo: "",
  };
}
