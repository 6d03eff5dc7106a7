import type { DescribedWorkload, SidecarError } from "@weft/api/light";
import { age } from "../numbers.ts";
import { explained } from "../reasons.ts";

/** Something that is so, and what follows from it. */
export interface Finding {
  /** problem: no call can succeed; warning: some may not. */
  level: "problem" | "warning" | "ok";
  /** What is so; a clause without a full stop. */
  what: string;
  /** What shows it. */
  evidence: string[];
  /** What to do; empty when there is nothing. */
  todo: string;
}

/** How long something that went wrong is news, milliseconds. */
export const newsMs = 60_000;

/** A certificate that is missing or over; undefined when it is in order or not known. */
export function certificateProblem({ id, description }: DescribedWorkload, nowMs: number): Omit<Finding, "level"> | undefined {
  if (description === null) return undefined;
  const { identity, certificateNotAfter } = description;
  if (identity === "" || certificateNotAfter === 0) {
    return {
      what: `the sidecar of ${id} has no certificate yet`,
      evidence: ["It says so itself."],
      todo: "`weft check` looks at the controller; `weft logs` of the workload says what it waits for.",
    };
  }
  if (certificateNotAfter * 1000 > nowMs) return undefined;
  return {
    what: `the certificate of ${id} has expired`,
    evidence: [`It ended ${new Date(certificateNotAfter * 1000).toISOString()}.`],
    todo: "`weft check` looks at the clocks; start the workload again when they are right.",
  };
}

/** A workload whose sidecar tells nothing; undefined when it does. */
export function silenceOf({ id, state, silence }: DescribedWorkload): Omit<Finding, "level"> | undefined {
  if (silence === null) return undefined;
  const what =
    state === "starting"
      ? `the sidecar of ${id} has not connected to the controller yet`
      : state === "away"
        ? `the sidecar of ${id} lost its connection to the controller`
        : `the sidecar of ${id} does not tell what it holds`;
  return { what, evidence: [`${silence.message} (${silence.code})`], todo: `\`weft logs ${id}\` says what it does.` };
}

/** What went wrong lately, in words. */
export function errorEvidence(errors: SidecarError[], nowMs: number): string[] {
  return errors.map(({ code, message, count, lastMs }) => `${count} × ${message || explained(code)} (${code}), ${age(lastMs, nowMs)} ago`);
}

/** Whether something went wrong within the last minute. */
export function isNews({ lastMs }: SidecarError, nowMs: number): boolean {
  return nowMs - lastMs < newsMs;
}

/** What is wrong with some of several instances, as problems when no instance is without one, else as warnings. */
export function judged(total: number, wrong: { id: string; finding: Omit<Finding, "level"> }[]): Finding[] {
  const level = new Set(wrong.map(({ id }) => id)).size >= total ? "problem" : "warning";
  return wrong.map(({ finding }) => ({ level, ...finding }));
}
