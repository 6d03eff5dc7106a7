import assert from "node:assert/strict";
import { test } from "node:test";
import { candidatesFor } from "./complete.ts";

const names = (...words: string[]) => candidatesFor(words, async ({ plural }, namespace = "default") => [`${plural}-in-${namespace}`]);

test("a kind comes first, then names of it, in the namespace that is asked for", async () => {
  for (const expected of ["all", "httproutes", "httproute", "svc"]) assert.ok((await names("")).includes(expected));
  assert.deepEqual(await names("httproute", ""), ["httproutes-in-default"]);
  assert.deepEqual(await names("svc", "users", ""), ["services-in-default"]);
  assert.deepEqual(await names("-n", "team", "svc", ""), ["services-in-team"]);
  assert.deepEqual(await names("svc", "--namespace", "team", "us"), ["services-in-team"]);
});

test("kind and name with a slash keep the kind as it was written", async () => {
  assert.deepEqual(await names("svc/"), ["svc/services-in-default"]);
  assert.deepEqual(await names("svc/a", "HTTPRoute/"), ["HTTPRoute/httproutes-in-default"]);
});

test("nothing is known of what is no kind", async () => {
  assert.deepEqual(await names("nothing", ""), []);
  assert.deepEqual(await names("nothing/"), []);
});
