import { ApiClient, type Workload } from "@weft/api/light";
import { answering, stopController } from "../controller.ts";
import { type Format, print } from "../output.ts";

/** Ends the controller. Workloads go on without it. */
export async function down(options: { state: string; output: Format }): Promise<void> {
  const status = await answering(options.state);
  if (status === undefined) {
    return print(options.output, { stopped: false, workloads: [] }, () => [`No controller runs on ${options.state}: nothing to do.`]);
  }
  const workloads = (await new ApiClient(options.state).workloads()).filter(({ state }) => state === "live");
  await stopController(options.state, status.pid);
  return print(options.output, { stopped: true, pid: status.pid, workloads }, () => describeStop(status.pid, workloads));
}

/** What is said after the controller ended. */
export function describeStop(pid: number, workloads: Pick<Workload, "service" | "id" | "pid">[]): string[] {
  const lines = [`Ended the controller (process ${pid}).`];
  if (workloads.length === 0) return lines;
  lines.push("These workloads go on with what they know, and find the next controller by themselves:");
  return [...lines, ...workloads.map(({ service, id, pid }) => `  ${service} (${id}, process ${pid})`)];
}
