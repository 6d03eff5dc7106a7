import { ApiClient } from "@weft/api/light";
import { usageError } from "../errors.ts";
import { type Format, print } from "../output.ts";
import { findServiceName, knownNames } from "../targets.ts";
import { colour, escapeControls } from "../terminal.ts";
import type { Finding } from "../why/finding.ts";
import { type Explanation, explain } from "../why/findings.ts";

/** Explains why calls from one service to another work or do not. Answers the exit code: 0 when they can succeed. */
export async function why(from: string, to: string, options: { state: string; output: Format }): Promise<number> {
  const client = new ApiClient(options.state);
  const known = await knownNames(client);
  // What is not known is asked for as it is: that it does not exist is an explanation, too.
  const nameOf = (name: string) => {
    if (/:[0-9]+$/.test(name))
      throw usageError(
        `${JSON.stringify(name)} has a port; all ports are looked at together.`,
        `Name the service: ${name.replace(/:[0-9]+$/, "")}.`,
      );
    try {
      return known.workloads.get(name) ?? findServiceName(name, known);
    } catch {
      return name;
    }
  };
  const facts = await client.why(nameOf(from), nameOf(to));
  const explanation = explain(facts);
  await print(options.output, { ...explanation, facts }, () => whyLines(explanation));
  return explanation.ok ? 0 : 1;
}

const marks = { problem: ["red", "✗"], warning: ["yellow", "!"], ok: ["green", "✓"] } as const;

/** The verdict, then each finding with what shows it and what to do. */
export function whyLines({ ok, verdict, findings, path }: Explanation, paint: typeof colour = colour): string[] {
  const lines = (finding: Finding) => {
    const [style, mark] = marks[finding.level];
    return [
      `${paint(style, mark)} ${escapeControls(sentence(finding.what))}`,
      ...finding.evidence.map((text) => `    ${escapeControls(text)}`),
      ...(finding.todo === "" ? [] : [`    -> ${escapeControls(finding.todo)}`]),
    ];
  };
  const way = path.length === 0 ? [] : ["", "The way of a request:", ...path.map((hop) => `    ${escapeControls(hop)}`)];
  return [paint(ok ? "green" : "red", escapeControls(verdict)), "", ...findings.flatMap(lines), ...way];
}

function sentence(text: string): string {
  return text.endsWith("?") ? text : `${text}.`;
}
