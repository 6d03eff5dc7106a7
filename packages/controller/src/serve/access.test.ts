import assert from "node:assert/strict";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { request as plainRequest } from "node:http";
import { type RequestOptions, request } from "node:https";
import { createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { type Access, ApiClient, statePaths } from "@weft/api";
import { running, temporaryDirectory } from "../testing/controllers.ts";
import type { LiveFeed } from "./live.ts";
import { createRoutes, type RouteServices, type Who } from "./routes.ts";
import type { Snapshot } from "./snapshot.ts";

/** Asks over HTTPS, and answers status and body; an error's code where there is no answer. */
function ask({ server, certificateAuthority }: Access, path: string, options: RequestOptions = {}): Promise<string> {
  return new Promise((resolve) => {
    const sent = request(server + path, { ca: certificateAuthority, agent: false, ...options }, async (response) => {
      const text = (await response.setEncoding("utf8").toArray()).join("");
      resolve(`${response.statusCode} ${text}`);
    });
    sent.on("error", (error: NodeJS.ErrnoException) => resolve(String(error.code)));
    sent.end();
  });
}

const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });

test("nothing listens before somebody asks for it, and then for those who have the token", async (t) => {
  const { stateDir } = await running(t);
  const { access: file, controllerLog } = statePaths(stateDir);
  assert.equal(existsSync(file), false);
  const api = new ApiClient(stateDir);
  const access = await api.grantAccess();
  assert.match(access.server, /^https:\/\/127\.0\.0\.1:\d+$/);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.deepEqual(await api.grantAccess(), access, "asked again, it is the same");
  for (const path of ["/version", "/api/v1/services", "/weft/v1/workloads", "/"])
    assert.match(await ask(access, path, bearer(access.token)), /^200 /, path);
  const { port } = new URL(access.server);
  assert.match(await ask({ ...access, server: `https://localhost:${port}` }, "/version", bearer(access.token)), /^200 /);
  assert.ok(!readFileSync(controllerLog, "utf8").includes(access.token), "it is in no log");
});

test("everybody else is answered 401, whatever they ask, and nothing else", async (t) => {
  const { stateDir } = await running(t);
  const access = await new ApiClient(stateDir).grantAccess();
  const { token } = access;
  const headers: Record<string, string>[] = [
    {},
    { authorization: "Bearer" },
    { authorization: "Bearer " },
    { authorization: `Bearer ${token}x` },
    { authorization: `Bearer ${token.slice(1)}` },
    { authorization: `Bearer ${token.toLowerCase()}` },
    { authorization: `Bearer ${token} ${token}` },
    { authorization: `Bearer ${"x".repeat(8000)}` },
    { authorization: token },
    { authorization: `Basic ${Buffer.from(`weft:${token}`).toString("base64")}` },
    { cookie: `token=${token}` },
    { "x-remote-user": "admin", "x-forwarded-for": "127.0.0.1" },
    { "impersonate-user": "system:admin" },
  ];
  const answers = new Set<string>();
  const calls = Object.keys(createRoutes({} as RouteServices, {} as Snapshot, {} as Record<Who, LiveFeed>)).map(
    (route) => `/weft/v1${route}`,
  );
  const methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
  assert.ok(calls.length >= 14);
  for (const path of [...calls, "/", "/version", "/api", "/api/v1/services", "/openapi/v3", `/version?token=${token}`, "/none"]) {
    for (const answer of await Promise.all(methods.map((method) => ask(access, path, { method })))) answers.add(answer);
  }
  for (const each of headers) answers.add(await ask(access, "/version", { headers: each }));
  assert.equal(answers.size, 1, [...answers].join("\n"));
  assert.deepEqual(JSON.parse([...answers][0]?.slice(4) ?? ""), {
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Failure",
    message: "Unauthorized",
    reason: "Unauthorized",
    code: 401,
  });
});

test("it speaks TLS 1.3 by a certificate of the mesh's root, and nothing else", async (t) => {
  const { stateDir } = await running(t);
  const access = await new ApiClient(stateDir).grantAccess();
  const options = bearer(access.token);
  assert.match(await ask(access, "/version", { ...options, maxVersion: "TLSv1.2" }), /EPROTO|ERR_SSL/);
  const other = await new ApiClient((await running(t)).stateDir).grantAccess();
  assert.match(await ask({ ...access, certificateAuthority: other.certificateAuthority }, "/version", options), /CERT|SIGNATURE/);
  const plain = await new Promise<string>((resolve) => {
    const sent = plainRequest(`${access.server.replace("https", "http")}/version`, { agent: false }, (response) =>
      resolve(String(response.statusCode)),
    );
    sent.on("error", (error: NodeJS.ErrnoException) => resolve(String(error.code))).end();
  });
  assert.equal(plain, "ECONNRESET");
});

test("what was printed works after the controller was started anew", async (t) => {
  const { stateDir, controller } = await running(t);
  const access = await new ApiClient(stateDir).grantAccess();
  await controller.stop();
  assert.equal(await ask(access, "/version", bearer(access.token)), "ECONNREFUSED");
  await running(t, { stateDir });
  assert.match(await ask(access, "/version", bearer(access.token)), /^200 /);
  assert.deepEqual(await new ApiClient(stateDir).grantAccess(), access);
});

test("another port is taken when the one of before is somebody else's, and a file that says nothing counts as none", async (t) => {
  const stateDir = join(temporaryDirectory(t), "state");
  const first = await running(t, { stateDir });
  const access = await new ApiClient(stateDir).grantAccess();
  await first.controller.stop();
  const blocker = createServer();
  await new Promise<void>((resolve) => blocker.listen(Number(new URL(access.server).port), "127.0.0.1", resolve));
  t.after(() => blocker.close());
  const second = await running(t, { stateDir });
  const moved = await new ApiClient(stateDir).grantAccess();
  assert.deepEqual([moved.token, moved.server === access.server], [access.token, false]);
  await second.controller.stop();
  writeFileSync(statePaths(stateDir).access, "{");
  await running(t, { stateDir });
  const anew = await new ApiClient(stateDir).grantAccess();
  assert.notEqual(anew.token, access.token);
  assert.match(await ask(anew, "/version", bearer(anew.token)), /^200 /);
});

test("what was printed stops working when access is revoked, and what is printed next has another token", async (t) => {
  const { stateDir } = await running(t);
  const api = new ApiClient(stateDir);
  const access = await api.grantAccess();
  await api.revokeAccess();
  assert.equal(await ask(access, "/version", bearer(access.token)), "ECONNREFUSED");
  assert.equal(existsSync(statePaths(stateDir).access), false);
  const anew = await api.grantAccess();
  assert.match(await ask(anew, "/version", bearer(access.token)), /^401 /);
  assert.match(await ask(anew, "/version", bearer(anew.token)), /^200 /);
});
