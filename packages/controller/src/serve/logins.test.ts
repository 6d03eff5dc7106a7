import assert from "node:assert/strict";
import { test } from "node:test";
import { ApiClient, type Live } from "@weft/api";
import { running } from "../testing/controllers.ts";
import { Logins, loginLifeMs } from "./logins.ts";

const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });

test("a code works once and for a minute, and a login for half a day", () => {
  const logins = new Logins();
  const code = logins.invite();
  const token = logins.enter(code, performance.now());
  assert.ok(logins.knows(bearer(token)));
  assert.throws(() => logins.enter(code), { code: "WEFT-C-LOGIN-REFUSED" });
  assert.throws(() => logins.enter(logins.invite(), performance.now() + 61_000), { code: "WEFT-C-LOGIN-REFUSED" });
  assert.throws(() => logins.enter("none"), { code: "WEFT-C-LOGIN-REFUSED" });
  assert.ok(!logins.knows(bearer(token), performance.now() + loginLifeMs + 1));
  for (const other of [{ headers: {} }, bearer(code), bearer(`${token}x`), { headers: { authorization: token } }])
    assert.ok(!logins.knows(other));
});

test("logins are bounded, and the oldest makes room", () => {
  const logins = new Logins();
  const tokens = Array.from({ length: 65 }, () => logins.enter(logins.invite()));
  assert.deepEqual(
    tokens.map((token) => logins.knows(bearer(token))),
    [false, ...Array<boolean>(64).fill(true)],
  );
});

test("a browser that was let in by its user's link may look at everything and change nothing; others see what they saw", async (t) => {
  const { stateDir, controller } = await running(t);
  const api = new ApiClient(stateDir);
  await api.registerWorkload({ service: "users", pid: 1, command: ["serve", "--password", "hunter2"] });
  const link = new URL((await api.login()).url);
  assert.equal(link.origin, new URL(controller.pageUrl).origin);
  const code = new URLSearchParams(link.hash.slice(1)).get("login") ?? "";
  const enter = (body: string, headers: Record<string, string> = { origin: link.origin }) =>
    fetch(`${link.origin}/weft/v1/session`, { method: "POST", body, headers });
  assert.equal((await enter(code, {})).status, 403, "a request that does not come from the page");
  assert.equal((await enter(code, { origin: "http://evil.example" })).status, 403);
  assert.equal((await enter("wrong")).status, 401);
  assert.equal((await enter("x".repeat(5000))).status, 413);
  const entered = await enter(code);
  assert.equal(entered.headers.get("set-cookie"), null);
  const { token } = (await entered.json()) as { token: string };
  assert.equal((await enter(code)).status, 401, "a second time");

  const ask = (path: string, options: RequestInit = {}) =>
    fetch(link.origin + path, { ...options, headers: { authorization: `Bearer ${token}` } });
  assert.match(await (await ask("/weft/v1/workloads")).text(), /hunter2/);
  assert.equal((await ask("/api/v1/services")).status, 200);
  for (const [method, path] of [
    ["POST", "/weft/v1/shutdown"],
    ["POST", "/weft/v1/access"],
    ["POST", "/weft/v1/login"],
    ["DELETE", "/weft/v1/workloads/w-1"],
    ["POST", "/api/v1/namespaces/default/services"],
  ] as const)
    assert.equal((await ask(path, { method })).status, 405, `${method} ${path}`);
  assert.equal((await fetch(`${link.origin}/weft/v1/workloads`)).status, 403);
  const live = await fetch(`${link.origin}/weft/v1/live`);
  const { value } = (await live.body?.getReader().read()) ?? {};
  const [first = ""] = Buffer.from(value ?? [])
    .toString()
    .split("\n\n");
  const told = JSON.parse(first.slice("data: ".length)) as Live;
  assert.equal(JSON.stringify(told).includes("hunter2"), false);
});
