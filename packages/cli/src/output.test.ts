import assert from "node:assert/strict";
import { test } from "node:test";
import { parse } from "yaml";
import { json, yaml } from "./output.ts";

const hostile = { name: "\x1b[31mred\x9b\u202e\u{e0041}\n", list: ["plain", 7, null], nested: { "k\x9b": true } };

test("JSON carries any text unchanged, without a control character in the output", () => {
  assert.deepEqual(JSON.parse(json(hostile)), hostile);
  assert.doesNotMatch(json(hostile).replaceAll("\n", ""), /[\p{Cc}\p{Cf}]/u);
});

test("YAML carries any text unchanged, without a control character in the output", async () => {
  const text = await yaml(hostile);
  assert.deepEqual(parse(text), hostile);
  assert.doesNotMatch(text.replaceAll("\n", ""), /[\p{Cc}\p{Cf}]/u);
});
