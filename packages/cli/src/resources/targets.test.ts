import assert from "node:assert/strict";
import { test } from "node:test";
import { kinds } from "@weft/api/kinds";
import { parseObject, parseTargets } from "./targets.ts";

const parsed = (...args: string[]) => parseTargets(args, "weft get svc").map(({ kind, name }) => `${kind.kind} ${name ?? "*"}`);
const refused = (...args: string[]) => {
  try {
    parseTargets(args, "weft get svc");
  } catch (error) {
    const { message, hint } = error as Error & { hint: string };
    return `${message} ${hint}`;
  }
  return assert.fail("it is taken");
};

test("a kind by any of its names, in any case, or with its group", () => {
  for (const name of ["httproute", "HTTPRoutes", "httproutes.gateway.networking.k8s.io", "httproute.v1.gateway.networking.k8s.io"])
    assert.deepEqual(parsed(name), ["HTTPRoute *"]);
  assert.deepEqual(parsed("svc"), ["Service *"]);
});

test("several kinds, all of them, names of one, and kinds with names", () => {
  assert.deepEqual(parsed("svc,grpcroutes"), ["Service *", "GRPCRoute *"]);
  assert.equal(parsed("all").length, kinds.length);
  assert.deepEqual(parsed("svc", "a", "b"), ["Service a", "Service b"]);
  assert.deepEqual(parsed("svc/a", "httproute/a.b"), ["Service a", "HTTPRoute a.b"]);
});

test("what is no kind is answered with what was meant, and with an example", () => {
  assert.match(refused("htproute"), /"htproute" is no kind\. Did you mean httproute\?/);
  assert.match(refused("httproutes.example.com"), /"httproutes\.example\.com" is no kind\./);
  assert.match(refused("svc/a", "b"), /"b" is no kind and name\. For example: weft get svc/);
  assert.match(refused("svc/"), /is no kind and name/);
  assert.match(refused("a/b/c"), /is no kind and name/);
  assert.match(refused(), /missing/);
});

test("where one object is needed, neither none nor two are", () => {
  assert.equal(parseObject(["svc", "a"], "").name, "a");
  for (const args of [["svc"], ["svc", "a", "b"], ["svc,httproute", "a"]])
    assert.throws(() => parseObject(args, ""), /One object is needed/);
});
