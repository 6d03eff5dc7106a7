import { ResourceClient, socketTransport } from "@weft/client";
import { age } from "../numbers.ts";
import { complain, type Format, print, yaml } from "../output.ts";
import { standingColour } from "../resources/columns.ts";
import { isCurrent, standingOf, statedOf } from "../resources/conditions.ts";
import { wantedOf } from "../resources/last-applied.ts";
import { missingObject } from "../resources/missing.ts";
import type { ResourceOptions } from "../resources/options.ts";
import type { Found } from "../resources/print.ts";
import { lookUp } from "../resources/send.ts";
import { parseTargets, shownObject } from "../resources/targets.ts";
import { pastOf, statedWords } from "../resources/timeline.ts";
import { colour, escapeControls } from "../terminal.ts";
import { namespaceOf } from "./get.ts";

/** What follows `weft describe` on the command line. */
export interface DescribeOptions extends ResourceOptions {
  output: Format;
}

/** Says of objects what they are, what came of them, and what happened to them. Answers the exit code. */
export async function describeObjects(args: string[], options: DescribeOptions): Promise<number> {
  const targets = parseTargets(args, "weft describe httproute/users");
  const client = new ResourceClient(socketTransport(options.state));
  const found: Found[] = [];
  let missing = 0;
  for (const { kind, name } of targets) {
    const namespace = namespaceOf(kind, options);
    if (name === undefined) found.push(...(await client.list(kind, { namespace })).items.map((object) => ({ kind, object })));
    else {
      const object = await lookUp(client, kind, { name, namespace });
      if (object !== undefined) found.push({ kind, object });
      else {
        missing += 1;
        complain(await missingObject(client, kind, name, namespace));
      }
    }
  }
  const described = await Promise.all(found.map(async (each) => ({ data: dataOf(each), lines: await linesOf(each, Date.now()) })));
  const data = described.map((each) => each.data);
  await print(options.output, data.length === 1 ? data[0] : data, () =>
    described.flatMap(({ lines }, index) => (index > 0 ? ["", ...lines] : lines)),
  );
  return missing === 0 ? 0 : 1;
}

const dataOf = ({ kind, object }: Found) => ({ object, standing: standingOf(object) ?? null, events: pastOf(kind, object) });

/** An object for people, at the time `now` (milliseconds since 1970). */
export async function linesOf({ kind, object }: Found, now: number, paint: typeof colour = colour): Promise<string[]> {
  const { name, namespace, labels, annotations, creationTimestamp } = object.metadata;
  const { metadata: _, apiVersion: __, kind: ___, ...body } = wantedOf(object as Parameters<typeof wantedOf>[0]);
  const standing = standingOf(object);
  const style = standingColour(standing);
  const pairs = (values: Readonly<Record<string, string>> | undefined = {}) =>
    Object.entries(values)
      .filter(([key]) => !key.startsWith("kubectl.kubernetes.io/"))
      .map(([key, value]) => `${key}=${value}`);
  const fields: [string, string[]][] = [
    ["namespace", namespace === undefined ? [] : [namespace]],
    ["labels", pairs(labels)],
    ["annotations", pairs(annotations)],
    ["created", [`${age(Date.parse(creationTimestamp), now)} ago`]],
    ["version", [`${object.apiVersion}, generation ${object.metadata.generation ?? 1}`]],
  ];
  const state = standing && [standing.state, standing.state === "refused" ? ` (${standing.reason})` : "", `: ${standing.message}`].join("");
  const stated = statedOf(object).map(
    (each) => `${statedWords(each)}${isCurrent(each.condition, object) ? "" : " (of an earlier version)"}`,
  );
  const past = pastOf(kind, object).map(({ at, message }) => `${`${age(Date.parse(at), now)} ago`.padEnd(9)} ${message}`);
  const block = (heading: string, lines: readonly string[]) =>
    lines.length === 0 ? [] : ["", paint("bold", heading), ...lines.map((line) => `  ${line}`)];
  const safe = (lines: readonly string[]) => lines.map(escapeControls);
  return [
    paint("bold", escapeControls(shownObject(kind, name))),
    ...fields.flatMap(([label, values]) => safe(values).map((value, index) => `  ${(index === 0 ? label : "").padEnd(12)}${value}`)),
    ...(state === undefined
      ? []
      : [`  ${"state".padEnd(12)}${style === undefined ? escapeControls(state) : paint(style, escapeControls(state))}`]),
    ...block("what it says", Object.keys(body).length === 0 ? [] : (await yaml(body)).trimEnd().split("\n")),
    ...block("what came of it", safe(stated)),
    ...block("what happened", safe(past)),
  ];
}
