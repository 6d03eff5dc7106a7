import { ApiClient, type Check } from "@weft/api/light";
import { answering } from "../controller.ts";
import { controllerChecks, machineChecks } from "../local-checks.ts";
import { lookAtMachine } from "../machine.ts";
import { type Format, print } from "../output.ts";
import { repository } from "../paths.ts";
import { colour, escapeControls } from "../terminal.ts";
import { version } from "../version.ts";

/** Looks for what keeps the mesh from working. Answers whether nothing does. */
export async function check(options: { state: string; output: Format }): Promise<boolean> {
  const checks = [...machineChecks(await lookAtMachine(options.state), repository), ...(await askController(options.state))];
  await print(options.output, checks, () => checkLines(checks));
  return checks.every(({ status }) => status !== "fail");
}

const marks = { ok: ["green", "✓"], warn: ["yellow", "!"], fail: ["red", "✗"] } as const;

/** A line a check, with why and what to do under those that found something, and the sum of them. */
export function checkLines(checks: Check[], paint: typeof colour = colour): string[] {
  const lines = checks.flatMap(({ name, status, what, why, action }) => {
    const [style, mark] = marks[status];
    const more = status === "ok" ? [] : [why, action].filter((text) => text !== "");
    return [`${paint(style, mark)} ${escapeControls(`${name}: ${what}`)}`, ...more.map((text) => `    ${escapeControls(text)}`)];
  });
  return [...lines, "", summary(checks)];
}

function summary(checks: Check[]): string {
  const count = (status: Check["status"]) => checks.filter((check) => check.status === status).length;
  const [failed, warned] = [count("fail"), count("warn")];
  if (failed + warned === 0) return "Nothing is wrong.";
  return [
    failed > 0 ? [`${failed} failed`] : [],
    warned > 0 ? [`${warned} ${warned === 1 ? "warning" : "warnings"}`] : [],
    `${count("ok")} ok`,
  ]
    .flat()
    .join(", ");
}

async function askController(stateDir: string): Promise<Check[]> {
  const name = "controller";
  try {
    const status = await answering(stateDir);
    if (status === undefined) {
      return [{ name, status: "warn", what: "none runs", why: "", action: "`weft up` or the first `weft run` starts it." }];
    }
    return [...controllerChecks(status, { version, now: Date.now() }), ...(await new ApiClient(stateDir).checks())];
  } catch (error) {
    const { message, hint = "" } = error as Error & { hint?: string };
    return [{ name, status: "fail", what: message, why: "", action: hint }];
  }
}
