import { defaultPagePort } from "@weft/api/light";
import { ensureController } from "../controller.ts";
import { type Format, print, say } from "../output.ts";

/** Makes sure that a controller runs. */
export async function up(options: { state: string; pagePort?: number; output: Format }): Promise<void> {
  const { status, started } = await ensureController(options.state, options.pagePort === undefined ? {} : { pagePort: options.pagePort });
  const pagePort = Number(new URL(status.pageUrl).port || 80);
  if (!started && options.pagePort !== undefined && options.pagePort !== pagePort) {
    say(
      `A controller runs already, with its page on port ${pagePort}. \`weft down\` and \`weft up --page-port ${options.pagePort}\` move it.`,
    );
  }
  if (started && options.pagePort === undefined && pagePort !== defaultPagePort) {
    say(`Port ${defaultPagePort} is in use, so the page has port ${pagePort}.`);
  }
  await print(options.output, { ...status, started }, () => [
    `${started ? "Started the controller" : "The controller runs already"} (process ${status.pid}).`,
    `Page: ${status.pageUrl}`,
  ]);
}
