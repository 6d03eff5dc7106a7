import { rmSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import type { Controller } from "../controller.ts";
import { isAlive } from "./holder.ts";

const everyMs = 500;
/** How long the owner's workloads may take to end: as long as a sidecar drains, and a bit. */
const patienceMs = 12_000;

/** Ends a controller whose owner is gone once its workloads are. */
export async function endWithOwner(owner: number, controller: Controller): Promise<void> {
  while (isAlive(owner)) await delay(everyMs, undefined, { ref: false });
  for (const deadline = performance.now() + patienceMs; controller.workloads() > 0 && performance.now() < deadline; ) await delay(100);
  await controller.stop();
}

/** Removes the state directory of a controller that has ended, if its owner is gone: nobody else knows of it. */
export function removeAfterOwner(owner: number, stateDir: string): void {
  if (!isAlive(owner)) rmSync(stateDir, { recursive: true, force: true });
}
