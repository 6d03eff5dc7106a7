// curl as caller: one process a request.
//   curl-call.ts CURL 1|2 BASE REQUESTS
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Answer, Request } from "../../matrix/http.ts";
import { answered, ask } from "./asking.ts";
import { pattern } from "./pattern.ts";

const [curl = "", version = "1", base = "", text = "[]"] = process.argv.slice(2);
const requests: Request[] = JSON.parse(text);
const folder = mkdtempSync(join(tmpdir(), "weft-curl-"));
const run = promisify(execFile);
let sent = 0;

/** Blocks of fields as curl writes them, one for each head, the trailers after the last. */
function headsOf(dump: string): { status: number; fields: Record<string, string> }[] {
  const heads: { status: number; fields: Record<string, string> }[] = [];
  for (const line of dump.split("\r\n").filter(Boolean)) {
    const status = /^HTTP\/\S+ (\d+)/.exec(line)?.[1];
    if (status) heads.push({ status: Number(status), fields: {} });
    else {
      const [, name = "", value = ""] = /^([^:]+):\s*(.*)$/.exec(line) ?? [];
      const fields = heads.at(-1)?.fields;
      if (fields) fields[name.toLowerCase()] = value;
    }
  }
  return heads;
}

async function send({ method, path, fields = {}, body, chunked, expect, cancelAfterMs, times = 1, parallel }: Request): Promise<Answer> {
  const own = join(folder, String(sent++));
  const urls = parallel ? 1 : times;
  const args = ["-sS", "-L", "--compressed", "-D", `${own}.heads`, version === "2" ? "--http2-prior-knowledge" : "--http1.1"];
  args.push("-m", String((cancelAfterMs ?? 20_000) / 1000), "-w", "%{stderr}%{http_version} %{http_code} %{num_connects}\\n");
  if (method === "HEAD") args.push("--head");
  else if (method) args.push("-X", method);
  const all = { ...fields, expect: expect ? "100-continue" : "", ...(chunked && version === "1" && { "transfer-encoding": "chunked" }) };
  for (const [name, value] of Object.entries(all)) args.push("-H", `${name}:${value && ` ${value}`}`);
  if (body !== undefined) {
    writeFileSync(`${own}.body`, pattern(body));
    args.push("-H", "content-type: application/octet-stream", "--data-binary", `@${own}.body`);
  }
  for (let count = 0; count < urls; count++) args.push("-o", `${own}.out`, base + path);
  try {
    const { stderr } = await run(curl, args);
    const said = stderr.trim().split("\n");
    const heads = headsOf(readFileSync(`${own}.heads`, "latin1"));
    const last = heads.at(-1);
    const reused = said.filter((line) => line.endsWith(" 0")).length;
    // Requests one after the other are one process, which uses its connection again.
    const same = urls > 1 ? said.filter((line) => line.split(" ")[1] === String(last?.status)).length : undefined;
    const interim = heads.map(({ status }) => status).filter((status) => status < 200);
    const content = method === "HEAD" ? Buffer.alloc(0) : readFileSync(`${own}.out`);
    return answered(last?.status ?? 0, said[0]?.split(" ")[0] ?? "", content, {
      fields: last?.fields,
      trailers: last?.fields,
      interim,
      reused,
      same,
    });
  } catch (error) {
    const { code, message } = error as Error & { code: number };
    return { error: code === 28 ? "cancelled" : message };
  }
}

await ask(requests, send);
rmSync(folder, { recursive: true });
