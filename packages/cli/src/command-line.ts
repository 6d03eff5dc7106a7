import { nearest } from "@weft/api/light";
import { CommanderError } from "commander";
import { exitCode, usageError } from "./errors.ts";
import { complain } from "./output.ts";
import { program } from "./program.ts";

/** Runs one command line and sets the process's exit code: 0 worked, 1 failed, 2 cannot be understood. */
export async function runCommandLine(args: string[]): Promise<void> {
  process.stdout.on("error", endOnClosedPipe);
  const dashes = args.indexOf("--");
  const own = dashes < 0 ? args : args.slice(0, dashes);
  const command = dashes < 0 ? [] : args.slice(dashes + 1);
  const weft = program(command, (code) => {
    process.exitCode = code;
  });
  for (const each of [weft, ...weft.commands]) {
    each.exitOverride().configureOutput({ writeErr: () => undefined, outputError: () => undefined });
  }
  try {
    if (own.length === 0) weft.outputHelp();
    else await weft.parseAsync(own, { from: "user" });
  } catch (error) {
    const understood = understand(
      error,
      own,
      dashes >= 0,
      weft.commands.map((each) => each.name()),
    );
    if (understood === undefined) return;
    complain(understood);
    process.exitCode = exitCode(understood);
  }
}

/** Commander's errors in Weft's words; undefined for what is none, such as `--help`. */
function understand(error: unknown, args: string[], dashes: boolean, known: string[]): unknown {
  if (!(error instanceof CommanderError)) return error;
  if (error.exitCode === 0) return undefined;
  if (error.code === "commander.help") return unknownTopic(args.at(-1) ?? "", known);
  const text = error.message.replace(/^error: /, "").replace(/\n\((Did you mean .*\?)\)$/s, ". $1");
  const message = text.charAt(0).toUpperCase() + text.slice(1);
  const [name, service = "users", ...rest] = args;
  const isProgram = rest[0] !== undefined && !rest[0].startsWith("-");
  if (name === "run" && isProgram && !dashes) {
    return usageError("The program to run comes after `--`.", `For example: weft run ${service} -- ${rest.join(" ")}`);
  }
  const help = known.includes(name ?? "") ? `weft help ${name}` : "weft help";
  return usageError(message, `\`${help}\` shows examples.`);
}

// Commander shows all of the help where `weft help NAME` names no command.
function unknownTopic(name: string, known: string[]): unknown {
  const meant = nearest(name, known);
  const suggestion = meant === undefined ? "" : ` Did you mean ${meant}?`;
  return usageError(`Unknown command ${JSON.stringify(name)}.${suggestion}`, "`weft help` lists the commands.");
}

function endOnClosedPipe(error: NodeJS.ErrnoException): void {
  // `weft stat | head` has read enough.
  if (error.code === "EPIPE") process.exit(0);
  throw error;
}
