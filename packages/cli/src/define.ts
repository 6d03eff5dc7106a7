import { stateDirectory } from "@weft/api/light";
import { type Command, Option } from "commander";
import { type Format, formats } from "./output.ts";

/** How a command ended: its exit code. */
export type Finish = (exitCode: number) => void;

/** Options of most commands. */
export interface Common {
  state: string;
  output: Format;
}

/** Defines a command with its examples and the options of most commands. */
export function define(weft: Command, usage: string, description: string, shown: [string, string][]): Command {
  return defineLocal(weft, usage, description, shown).addOption(stateOption());
}

/** Defines a command that needs no controller. */
export function defineLocal(weft: Command, usage: string, description: string, shown: [string, string][]): Command {
  return weft
    .command(usage)
    .description(description)
    .addHelpText("before", examples(shown))
    .addOption(new Option("-o, --output <format>", "how to print").choices(formats).default("table"));
}

/** Where the controller's state is. */
export function stateOption(): Option {
  return new Option("--state <directory>", "state directory of the controller")
    .argParser((directory) => stateDirectory({ WEFT_STATE: directory }))
    .default(stateDirectory(), "$WEFT_STATE, else ~/.local/state/weft");
}

/** Examples as a help text begins with them: each a command line and what it is for. */
export function examples(lines: [string, string][]): string {
  const width = Math.max(...lines.map(([line]) => line.length));
  return `Examples:\n${lines.map(([line, meaning]) => `  ${meaning ? `${line.padEnd(width)}  # ${meaning}` : line}`).join("\n")}\n`;
}
