import assert from "node:assert/strict";
import { test } from "node:test";
import type { Standing } from "../sessions/session.ts";
import { programmed } from "./programmed.ts";

const standings = (all: Standing[][]) => new Map(all.map((each, index) => [`w-${index}`, each]));
const [held, pending]: Standing[] = [{ inForce: true }, { inForce: false }];
const inShort = (...all: Standing[][]) => Object.values(programmed(standings(all))).join(" | ");

test("a route is programmed when every proxy that it concerns holds it on every port", () => {
  assert.equal(inShort([held as Standing], [held as Standing, held as Standing]), "True | Programmed | in force on 2 of 2 proxies");
  assert.equal(inShort([held as Standing], [held as Standing, pending as Standing]), "False | Pending | in force on 1 of 2 proxies");
  assert.equal(inShort(), "True | Programmed | in force on 0 of 0 proxies: none sends requests there yet");
});

test("a refusal is told in the proxy's words, and of many the first and how many more", () => {
  const refused: Standing = { inForce: false, reason: "no such match" };
  assert.equal(inShort([refused]), "False | Rejected | in force on 0 of 1 proxy; refused by w-0: no such match");
  assert.match(inShort(...Array.from({ length: 5 }, () => [refused])), /w-2: no such match; and 2 more$/);
});
