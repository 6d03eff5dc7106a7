import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { execute, root } from "@weft/testkit";

interface Row {
  service: string;
  direction: string;
  requests: number;
  failures: number;
}

/** Runs the demo until every service has traffic, and answers what was counted of calls to each. */
async function demo(...options: string[]): Promise<Map<string, Row>> {
  const { WEFT_STATE: _, ...env } = process.env;
  const { code, stdout, stderr } = await execute(join(root, "bin", "weft"), ["demo", "--once", "-o", "json", ...options], { env });
  assert.equal(code, 0, stderr);
  const rows = (JSON.parse(stdout) as { rows: Row[] }).rows.filter(({ direction }) => direction === "inbound");
  return new Map(rows.map((row) => [row.service, row]));
}

test("the demo works by proxy variables too: HTTP/1.1, HTTP/2 and gRPC", { timeout: 90_000 }, async () => {
  const called = await demo("--redirect", "proxy");
  for (const service of ["web", "users", "orders", "payments"]) assert.ok((called.get(service)?.requests ?? 0) > 0, service);
  assert.equal(called.get("users")?.failures, 0);
});

test("two demos at once do not disturb each other", { timeout: 90_000 }, async () => {
  for (const called of await Promise.all([demo(), demo()])) {
    assert.deepEqual([...called.keys()].sort(), ["orders", "payments", "users", "web"]);
    assert.equal(called.get("users")?.failures, 0);
  }
});
