import assert from "node:assert/strict";
import { test } from "node:test";
import type { Stat, StatRow, Workload } from "@weft/api/light";
import { withoutTraffic } from "./demo.ts";
import { calledServices, shop } from "./shop.ts";

const live = shop.map(({ service }) => ({ service, state: "live" }) as Pick<Workload, "service" | "state">);
const stat = (services: string[]): Stat => ({
  window: 10,
  by: "service",
  since: "",
  rows: services.map((service) => ({ service, direction: "inbound", totals: { requests: 1 } }) as StatRow),
});

test("the demo has at least four called services and two instances of one of them", () => {
  assert.deepEqual(calledServices, ["payments", "users", "orders", "web"]);
  assert.equal(shop.filter(({ service }) => service === "orders").length, 2);
});

test("the demo is complete when every service was called and every sidecar is live", () => {
  assert.deepEqual(withoutTraffic(stat(calledServices), live), []);
  assert.deepEqual(withoutTraffic(stat(["web", "users"]), live), ["payments", "orders"]);
  const slowOrdersMissing = live.filter((_, index) => index !== 3);
  assert.deepEqual(withoutTraffic(stat(calledServices), slowOrdersMissing), ["orders"]);
  assert.deepEqual(withoutTraffic(stat(calledServices), []), ["payments", "users", "orders", "web", "load"]);
});
