import { ApiClient, type Check } from "@weft/api/light";
import { answering } from "../controller.ts";
import { type LocalCheck, localChecks } from "../local-checks.ts";
import { type Format, print } from "../output.ts";
import { colour, escapeControls } from "../terminal.ts";

/** Looks for what keeps the mesh from working. Answers whether all is well. */
export async function check(options: { state: string; output: Format }): Promise<boolean> {
  const checks: LocalCheck[] = [...(await localChecks(options.state)), ...(await controllerChecks(options.state))];
  await print(options.output, checks, () => checkLines(checks));
  return checks.every(({ ok }) => ok);
}

/** A line a check, with what to do under those that failed. */
export function checkLines(checks: LocalCheck[], paint: typeof colour = colour): string[] {
  return checks.flatMap(({ name, ok, warning, detail, hint }) => {
    const mark = !ok ? paint("red", "✗") : warning ? paint("yellow", "!") : paint("green", "✓");
    const line = `${mark} ${escapeControls(`${name}: ${detail}`)}`;
    return hint && (!ok || warning) ? [line, `    ${escapeControls(hint)}`] : [line];
  });
}

async function controllerChecks(stateDir: string): Promise<LocalCheck[]> {
  const failed = (detail: string, hint: string): Check[] => [{ name: "controller", ok: false, detail, hint }];
  try {
    const status = await answering(stateDir);
    if (status === undefined) {
      return [{ name: "controller", ok: true, warning: true, detail: "none runs", hint: "`weft up` or the first `weft run` starts it." }];
    }
    const running = { name: "controller", ok: true, detail: `answers, process ${status.pid}, page ${status.pageUrl}`, hint: "" };
    return [running, ...(await new ApiClient(stateDir).checks())];
  } catch (error) {
    const { message, hint = "" } = error as Error & { hint?: string };
    return failed(message, hint);
  }
}
