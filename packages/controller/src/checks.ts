import type { Check } from "@weft/api";
import type { ApiServices } from "./serve/services.ts";

const dayMs = 24 * 3600 * 1000;

/** What the controller can see of the mesh's health. */
export function checks(services: ApiServices): Check[] {
  return [authorityCheck(services), clockCheck(services), sidecarCheck(services), updatesCheck(services), refusalsCheck(services)];
}

function authorityCheck({ authority, paths }: ApiServices): Check {
  const { notAfter } = authority.validity;
  const ok = notAfter.getTime() - Date.now() > 30 * dayMs;
  const hint = ok ? "" : `Move ${paths.ca} away and start the controller and every workload again: a new root is made.`;
  return { name: "certificate authority", ok, detail: `The root is valid until ${notAfter.toISOString()}.`, hint };
}

// A certificate lasts a day and is renewed at two thirds: one that is about to end, or lasts longer, means that a clock jumped.
function clockCheck({ mesh, authority, telemetry }: ApiServices): Check {
  const now = Date.now();
  const ends = mesh.workloads().flatMap(({ record }) => {
    const end = (telemetry.sidecar(record.id)?.certificateNotAfter ?? 0) * 1000;
    return end === 0 ? [] : [{ id: record.id, end }];
  });
  const wrong = ends.filter(({ end }) => end < now || end > now + dayMs + 60_000);
  const ok = wrong.length === 0 && authority.validity.notBefore.getTime() <= now;
  const detail = ok
    ? `The clock fits the certificates of ${ends.length} sidecars.`
    : `The clock does not fit the certificates of: ${wrong.map(({ id }) => id).join(", ") || "the root"}.`;
  return { name: "clock", ok, detail, hint: ok ? "" : "Set the clock right, then start these workloads again." };
}

function sidecarCheck({ mesh }: ApiServices): Check {
  const workloads = mesh.workloads();
  const missing = workloads.filter(({ state }) => state !== "live");
  const ok = missing.length === 0;
  const detail = ok
    ? `${workloads.length} workloads, each with its sidecar.`
    : `Without a sidecar: ${missing.map(({ record, state }) => `${record.service} (${record.id}, ${state})`).join(", ")}.`;
  return { name: "sidecars", ok, detail, hint: ok ? "" : "A starting one needs a moment; else `weft logs` of the workload says why." };
}

function updatesCheck({ mesh, telemetry, faults }: ApiServices): Check {
  const mismatches = mesh.workloads().reduce((sum, { record }) => sum + (telemetry.sidecar(record.id)?.digestMismatches ?? 0), 0);
  const { count, last } = faults.rejections;
  const ok = mismatches === 0 && count === 0 && telemetry.malformed === 0;
  const latest = last === undefined ? "" : ` The last: ${last.workload} refused ${JSON.stringify(last.subscription)}: ${last.reason}.`;
  const detail = ok
    ? "Every sidecar holds what it was sent, and every report could be read."
    : `${mismatches} lost updates were repaired, ${count} were refused, ${telemetry.malformed} histograms could not be read.${latest}`;
  return { name: "contract", ok, detail, hint: ok ? "" : "Please report it with logs/controller.log." };
}

function refusalsCheck({ telemetry }: ApiServices): Check {
  const refusals = telemetry.refusals().flatMap(({ service, refusals }) => refusals.map((refusal) => ({ service, ...refusal })));
  const ok = refusals.length === 0;
  const total = refusals.reduce((sum, { count }) => sum + count, 0);
  const worst = refusals.toSorted((a, b) => b.count - a.count)[0];
  const detail =
    worst === undefined
      ? "No connection was refused."
      : `${total} connections were refused; most often by ${worst.service}, from ${worst.address}: ${worst.reason}${worst.detail === "" ? "" : ` (${worst.detail})`}.`;
  return { name: "refused connections", ok, detail, hint: ok ? "" : "`weft edges` lists them with their reasons." };
}
