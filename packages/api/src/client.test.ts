import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { ApiClient } from "./client.ts";

async function answering(t: TestContext, listener: RequestListener): Promise<string> {
  const dir = mkdtempSync("/tmp/weft-api-");
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(join(dir, "api.sock"), resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
    rmSync(dir, { recursive: true });
  });
  return dir;
}

test("no controller: the error says so, where, and what to do", async () => {
  await assert.rejects(new ApiClient("/nonexistent").status(), (error: { code: string; message: string; hint: string }) => {
    assert.equal(error.code, "WEFT-L-CONTROLLER-NOT-RUNNING");
    assert.match(error.message, /\/nonexistent/);
    assert.match(error.hint, /weft up/);
    return true;
  });
});

test("an error of the controller keeps its code, message and hint", async (t) => {
  const dir = await answering(t, (_, response) => {
    response.statusCode = 404;
    response.end(JSON.stringify({ error: { code: "WEFT-C-WORKLOAD-UNKNOWN", message: "No workload w-1.", hint: "Look." } }));
  });
  await assert.rejects(new ApiClient(dir).deleteWorkload("w-1"), {
    code: "WEFT-C-WORKLOAD-UNKNOWN",
    message: "No workload w-1.",
    hint: "Look.",
  });
});

test("garbage, silence and a closed connection are clear errors in bounded time", async (t) => {
  const garbage = await answering(t, (_, response) => response.end("<html>"));
  const silence = await answering(t, () => {});
  const closing = await answering(t, (request) => request.socket.destroy());
  for (const dir of [garbage, silence, closing]) {
    await assert.rejects(new ApiClient(dir, { timeoutMs: 200 }).status(), { code: "WEFT-L-CONTROLLER-UNREACHABLE" });
  }
});

test("live events come one by one, however they are cut into pieces", async (t) => {
  const dir = await answering(t, (_, response) => {
    for (const piece of ['data: {"stat"', ":1}\n", '\ndata: {"stat":2}\n\n']) response.write(piece);
    response.end();
  });
  const seen = [];
  for await (const event of new ApiClient(dir).live()) seen.push(event);
  assert.deepEqual(seen, [{ stat: 1 }, { stat: 2 }]);
});
