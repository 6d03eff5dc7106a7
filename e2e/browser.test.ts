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

test("the user's link shows commands and live requests, once; others see neither", { timeout: 90_000 }, async (t) => {
  const parts = need(t, "chromium");
  if (!parts) return;
  await using mesh = await Mesh.start();
  const command = [...fixture("echo", 8080), "--password=hunter2"];
  await mesh.run("users", command, { options: ["--port", "8080", "--no-publish"] });
  await mesh.run("load", fixture("load", "http://users/secret-path", 20, 60), { endpoints: 0 });
  const { stdout } = await mesh.weft(["dashboard", "-o", "json"]);
  const { url } = JSON.parse(stdout) as { url: string };
  await using browser = await launch(parts.chromium);
  const page = await browser.newPage();
  await page.goto(url);
  await page.locator(".workloads tr", { hasText: "hunter2" }).waitFor({ timeout: 15_000 });
  await page.locator(".requests tr", { hasText: "/secret-path" }).first().waitFor({ timeout: 15_000 });
  assert.equal(new URL(page.url()).hash, "", "the code does not stay in the address");
  assert.deepEqual(await page.context().cookies(), [], "nothing is sent to other ports");
  await page.reload();
  await page.locator(".workloads tr", { hasText: "hunter2" }).waitFor({ timeout: 15_000 });

  const other = await browser.newPage();
  await other.goto(url);
  await other.locator(".hint", { hasText: "WEFT-C-LOGIN-REFUSED" }).waitFor({ timeout: 15_000 });
  await other.locator("[role=status] strong", { hasText: "live" }).waitFor({ timeout: 15_000 });
  const seen = await other.content();
  for (const secret of ["hunter2", "secret-path"]) assert.ok(!seen.includes(secret), secret);

  await mesh.killController();
  await mesh.up();
  await page.locator(".hint", { hasText: "weft dashboard" }).waitFor({ timeout: 15_000 });
  assert.equal(await page.locator(".workloads").count(), 0, "a controller that was started anew knows no login");
});
