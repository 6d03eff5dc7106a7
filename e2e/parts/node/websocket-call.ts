// The WebSocket of the web as caller: Node's own, or one in a page of Chromium. See e2e/matrix/websocket.ts for what is asked.
//   websocket-call.ts URL [CHROMIUM]     prints what it saw as JSON
import { chromium } from "playwright-core";
import { useWebSocket } from "./websocket-use.ts";

const [url = "", executablePath] = process.argv.slice(2);
if (executablePath) {
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"] });
  const page = await browser.newPage();
  console.log(JSON.stringify(await page.evaluate(useWebSocket, url)));
  await browser.close();
} else {
  console.log(JSON.stringify(await useWebSocket(url)));
}
