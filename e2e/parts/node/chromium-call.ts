// fetch in a page of Chromium as caller. The page is one of the called service.
//   chromium-call.ts CHROMIUM BASE REQUESTS
import { chromium } from "playwright-core";
import type { Answer, Request } from "../../matrix/http.ts";
import { answered, ask } from "./asking.ts";

const [executablePath = "", base = "", requests = "[]"] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"] });
const page = await browser.newPage();
await page.goto(`${base}/get`);

/** Runs in the page. */
async function inPage({ method = "GET", path, fields = {}, body, cancelAfterMs }: Request) {
  const bytes = body === undefined ? undefined : Uint8Array.from({ length: body }, (_, index) => index % 251);
  try {
    const signal = AbortSignal.timeout(cancelAfterMs ?? 20_000);
    const response = await fetch(path, { method, headers: fields, signal, ...(bytes && { body: bytes }) });
    const content = new Uint8Array(await response.arrayBuffer());
    let binary = "";
    for (let start = 0; start < content.length; start += 8192) binary += String.fromCharCode(...content.subarray(start, start + 8192));
    return { status: response.status, fields: Object.fromEntries(response.headers), content: btoa(binary) };
  } catch (error) {
    return (error as Error).name === "TimeoutError" ? "cancelled" : String(error);
  }
}

async function send(request: Request): Promise<Answer> {
  const said = await page.evaluate(inPage, request);
  if (typeof said === "string") return { error: said };
  return answered(said.status, "", Buffer.from(said.content, "base64"), { fields: said.fields });
}

await ask(JSON.parse(requests), send);
await browser.close();
