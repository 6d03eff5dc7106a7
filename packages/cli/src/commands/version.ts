import { answering } from "../controller.ts";
import { type Format, print } from "../output.ts";
import { version as ownVersion } from "../version.ts";

/** Shows the versions of the command line, of the Node that runs it, and of the controller if one runs. */
export async function version(options: { state: string; output: Format }): Promise<void> {
  const controller = await answering(options.state).catch(() => undefined);
  const answer = { weft: ownVersion, node: process.versions.node, controller: controller?.version ?? null };
  await print(options.output, answer, () => [
    `weft        ${answer.weft}`,
    `node        ${answer.node}`,
    `controller  ${answer.controller ?? "none runs"}`,
  ]);
}
