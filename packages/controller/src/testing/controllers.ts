import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { type Controller, type ControllerOptions, startController } from "../controller.ts";

/** A fresh directory that goes with the test. */
export function temporaryDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "weft-test-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** A controller in this process that ends with the test. */
export async function running(
  t: TestContext,
  options: Partial<ControllerOptions> = {},
): Promise<{ stateDir: string; controller: Controller }> {
  const stateDir = options.stateDir ?? join(temporaryDirectory(t), "state");
  const controller = await startController({ pagePort: 0, ...options, stateDir });
  t.after(() => controller.stop());
  return { stateDir, controller };
}

/** Waits until `condition` holds, at most 30 s. */
export async function eventually(condition: () => boolean | Promise<boolean>, what = "the condition"): Promise<void> {
  for (const deadline = Date.now() + 30_000; !(await condition()); ) {
    if (Date.now() > deadline) throw new Error(`${what} did not come true within 30 s`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
