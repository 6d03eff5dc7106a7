import { nearest } from "@weft/api/light";
import type { Command } from "commander";
import { usageError } from "../errors.ts";

/** Prints the script by which a shell completes weft's commands and options. */
export function completion(shell: string, weft: Command): void {
  const script = scripts[shell];
  if (script === undefined) {
    const meant = nearest(shell, Object.keys(scripts));
    throw usageError(
      `${JSON.stringify(shell)} is no shell that weft knows.${meant ? ` Did you mean ${meant}?` : ""}`,
      "It knows bash, zsh and fish.",
    );
  }
  process.stdout.write(script(describeCommands(weft)));
}

interface Described {
  name: string;
  description: string;
  /** Whether kinds and names of objects, which `weft complete` knows, follow its name. */
  takesObjects: boolean;
  options: { flag: string; description: string; values: readonly string[] }[];
}

function describeCommands(weft: Command): Described[] {
  return weft
    .createHelp()
    .visibleCommands(weft)
    .filter((command) => command.name() !== "help")
    .map((command) => ({
      name: command.name(),
      description: command.description(),
      takesObjects: ["kind", "field"].includes(command.registeredArguments[0]?.name() ?? ""),
      options: command.options.map(({ long, description, argChoices }) => ({ flag: long ?? "", description, values: argChoices ?? [] })),
    }));
}

const scripts: Record<string, (commands: Described[]) => string> = { bash, zsh, fish };

function words(commands: Described[]): string {
  const cases = commands.map(({ name, options }) => `    ${name}) words="${[...options.map(({ flag }) => flag), "--help"].join(" ")}" ;;`);
  return `  local words="${commands.map(({ name }) => name).join(" ")} help"
  case "$command" in
${cases.join("\n")}
    help) ;;
  esac`;
}

const objectCommands = (commands: Described[]) => commands.filter(({ takesObjects }) => takesObjects).map(({ name }) => name);

/** Adds what `weft complete` answers for the words after the command, where these are about objects. `after` is those words, `current` the last of them. */
function objects(commands: Described[], after: string, current: string): string {
  return `  case "$command" in
    ${objectCommands(commands).join("|")})
      case "${current}" in
        -*) ;;
        *) words="$(weft complete -- ${after} 2>/dev/null)" ;;
      esac ;;
  esac`;
}

function values(commands: Described[]): string {
  const cases = commands.flatMap(({ name, options }) =>
    options
      .filter((option) => option.values.length > 0)
      .map(({ flag, values: list }) => {
        const patterns = [...(flag === "--output" ? ["-o"] : []), flag].map((each) => `"${name} ${each}"`);
        return `    ${patterns.join("|")}) words="${list.join(" ")}" ;;`;
      }),
  );
  return `  case "$command $previous" in
${cases.join("\n")}
  esac`;
}

function bash(commands: Described[]): string {
  return `_weft() {
  local command=""
  [ "$COMP_CWORD" -gt 1 ] && command="\${COMP_WORDS[1]}"
  local previous="\${COMP_WORDS[COMP_CWORD-1]}"
${words(commands)}
${objects(commands, `"\${COMP_WORDS[@]:2:COMP_CWORD-1}"`, `\${COMP_WORDS[COMP_CWORD]}`)}
${values(commands)}
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _weft weft
`;
}

function zsh(commands: Described[]): string {
  return `_weft() {
  local command=""
  (( CURRENT > 2 )) && command="$words[2]"
  local previous="$words[CURRENT-1]"
  local line=("\${(@)words}")
  () {
${words(commands)}
${objects(commands, `"\${(@)line[3,CURRENT]}"`, "$line[CURRENT]")}
${values(commands)}
    compadd -- \${=words}
  }
}
compdef _weft weft
`;
}

function fish(commands: Described[]): string {
  const quote = (text: string) => `'${text.replace(/[\\']/g, "\\$&")}'`;
  const lines = commands.flatMap(({ name, description, options }) => [
    `complete -c weft -n __fish_use_subcommand -f -a ${name} -d ${quote(description)}`,
    ...options.map(({ flag, description: text, values: list }) => {
      const argument = list.length > 0 ? ` -x -a ${quote(list.join(" "))}` : "";
      return `complete -c weft -n "__fish_seen_subcommand_from ${name}" -l ${flag.slice(2)} -d ${quote(text)}${argument}`;
    }),
  ]);
  const seen = `"__fish_seen_subcommand_from ${objectCommands(commands).join(" ")}"`;
  // The words after the command, the one that is being written among them.
  const asked = "weft complete -- (commandline -opc)[3..] (commandline -ct) 2>/dev/null";
  return `${[...lines, `complete -c weft -n ${seen} -f -a ${quote(`(${asked})`)}`].join("\n")}\n`;
}
