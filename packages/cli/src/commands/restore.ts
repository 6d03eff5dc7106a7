import { spawn } from "node:child_process";
import { once } from "node:events";
import { resolve } from "node:path";
import { text } from "node:stream/consumers";
import { WeftError } from "@weft/api/light";
import { answering } from "../controller.ts";
import { cliError } from "../errors.ts";
import { say } from "../output.ts";
import { controllerProgram } from "../paths.ts";

/** Puts a backup in the place of all resources. */
export async function restore(file: string, { state, yes }: { state: string; yes: boolean }): Promise<void> {
  const status = await answering(state);
  if (status !== undefined)
    throw cliError(
      "WEFT-L-RESTORE-FAILED",
      `A controller runs on ${state} (process ${status.pid}), and would not see what is put below it.`,
      "End it by `weft down`, restore, and start it by `weft up`. Programs and their sidecars go on meanwhile.",
    );
  const args = [controllerProgram, "--state", state, "--restore", resolve(file), ...(yes ? ["--replace"] : [])];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "close")]);
  if (code !== 0) throw failure(stderr, code);
  const { replaced } = JSON.parse(stdout) as { replaced: string | null };
  say(`Restored ${file}.${replaced === null ? "" : ` What was there is in ${replaced}.`} Start the controller by \`weft up\`.`);
}

function failure(said: string, code: unknown): WeftError {
  const own = /^weft controller: (?<message>.*) \((?<code>WEFT-[A-Z-]+)\)$/m.exec(said)?.groups;
  if (own !== undefined) return new WeftError(own.code ?? "", own.message ?? "");
  return cliError("WEFT-L-RESTORE-FAILED", `The program that restores ended with exit code ${code}: ${said.trim()}`);
}
