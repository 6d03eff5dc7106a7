import assert from "node:assert/strict";
import { test } from "node:test";
import { freePort, Mesh, need } from "@weft/testkit";
import { chromium } from "playwright-core";
import { fixture } from "./fixtures.ts";

const quiet = ["gpu", "quic", "background-networking", "component-update", "sync"].map((feature) => `--disable-${feature}`);
const launch = (executablePath: string) => chromium.launch({ executablePath, args: ["--no-sandbox", "--no-first-run", ...quiet] });

test("a browser on the host opens a service's published port", { timeout: 60_000 }, async (t) => {
  const parts = need(t, "chromium");
  if (!parts) return;
  await using mesh = await Mesh.start();
  const port = await freePort();
  await mesh.run("web", fixture("echo", port, "the web service"), { options: ["--port", String(port)] });
  await using browser = await launch(parts.chromium);
  const page = await browser.newPage();
  const response = await page.goto(`http://127.0.0.1:${port}/some/path`);
  assert.equal(response?.status(), 200);
  const body = JSON.parse((await page.textContent("body")) ?? "");
  assert.deepEqual([body.name, body.url], ["the web service", "/some/path"]);
});

test("the page shows who calls whom, says when the controller is away, and comes back by itself", { timeout: 90_000 }, async (t) => {
  const parts = need(t, "chromium");
  if (!parts) return;
  await using mesh = await Mesh.start();
  const { pageUrl } = await mesh.api.status();
  await using browser = await launch(parts.chromium);
  const page = await browser.newPage();
  const problems: string[] = [];
  page.on("pageerror", (error) => problems.push(error.message));
  page.on(
    "console",
    (message) =>
      message.type() === "error" && !/ERR_CONNECTION_REFUSED|ERR_INCOMPLETE/.test(message.text()) && problems.push(message.text()),
  );
  await page.goto(pageUrl);
  const phase = page.locator("[role=status] strong");
  const says = (text: string) => phase.filter({ hasText: new RegExp(`^${text}$`) }).waitFor({ timeout: 15_000 });

  await says("idle");
  await mesh.run("users", fixture("echo", 8080), { options: ["--port", "8080", "--no-publish"] });
  await mesh.run("load", fixture("load", "http://users/", 20, 60), { endpoints: 0 });
  await says("live");
  await page.locator("tr", { hasText: "users" }).filter({ hasText: "100 %" }).waitFor();
  await page.locator(".edge text", { hasText: "/s" }).first().waitFor();
  assert.match(await page.locator("svg.topology").innerHTML(), /load/);

  await mesh.killController();
  await says("stale");
  assert.match((await page.textContent("[role=status]")) ?? "", /last seen \d+ s ago/);
  await mesh.up();
  await says("live");
  assert.deepEqual(problems, []);
});
