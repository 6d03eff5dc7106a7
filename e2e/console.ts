// Console sessions in the documentation: blocks that begin with "```console run" hold commands after "$ " and, under each, what it prints.

/** A command of a page and what the page says it prints. */
export interface Step {
  /** Without the "$ ", and without the "&" of a command that goes on in the background. */
  command: string;
  background: boolean;
  /** Lines that it prints; "..." stands for anything, on a line of its own for any number of lines. Empty when the page says nothing. */
  expected: string[];
  /** Line of the command in the page, from 1. */
  line: number;
}

/** The commands of all blocks of a page that are marked as runnable. */
export function stepsOf(page: string): Step[] {
  const steps: Step[] = [];
  let inside = false;
  let continued = false;
  for (const [index, text] of page.split("\n").entries()) {
    const last = steps.at(-1);
    if (text.startsWith("```")) {
      inside = !inside && text === "```console run";
    } else if (inside && text.startsWith("$ ")) {
      steps.push({ command: text.slice(2), background: false, expected: [], line: index + 1 });
      continued = text.endsWith("\\");
    } else if (inside && last && continued) {
      last.command += `\n${text}`;
      continued = text.endsWith("\\");
    } else if (inside && last) {
      last.expected.push(text);
    }
  }
  return steps.map((step) => (step.command.endsWith(" &") ? { ...step, command: step.command.slice(0, -2), background: true } : step));
}

/** Files that a page shows: blocks that begin with "```yaml NAME". */
export function filesOf(page: string): { name: string; text: string }[] {
  return [...page.matchAll(/^```yaml (\S+)\n(.*?)^```$/gms)].map(([, name = "", text = ""]) => ({ name, text }));
}

/** Whether `output` is what the page says. Runs of blanks count as one, as columns are as wide as what is in them. */
export function isAsPromised(output: string, expected: readonly string[]): boolean {
  const plain = (text: string) => text.replace(/\s+/g, " ").trim();
  const escaped = (text: string) => text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
  const pattern = expected.map((line) => (line === "..." ? "(.*\n)*" : `${plain(line).split("...").map(escaped).join(".*")}\n`));
  return new RegExp(`^${pattern.join("")}$`).test(output.trimEnd().split("\n").map(plain).join("\n").concat("\n"));
}
