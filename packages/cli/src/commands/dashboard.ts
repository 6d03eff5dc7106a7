import { ApiClient } from "@weft/api/light";
import { ensureController } from "../controller.ts";
import { type Format, print } from "../output.ts";

/** Prints a link to the page by which the browser that opens it sees everything. It is not opened here: arguments of programs are seen by everybody. */
export async function dashboard(options: { state: string; output: Format }): Promise<void> {
  await ensureController(options.state);
  const { url } = await new ApiClient(options.state).login();
  await print(options.output, { url }, () => [
    url,
    "Open it within a minute; it works once. The page then shows you what others do not see: commands and live requests.",
  ]);
}
