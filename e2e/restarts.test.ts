import assert from "node:assert/strict";
import { test } from "node:test";
import { type Member, Mesh, until } from "@weft/testkit";
import { startLossyController } from "@weft/testkit/lossy-controller";
import { fixture } from "./fixtures.ts";

// Parts that end and begin in any order find each other again, and what was lost on the way is found.

const users = ["--port", "8080", "--no-publish"];
const answers = (member: Member) => member.running.stdout.trim().split("\n");
const isLive = async (mesh: Mesh, count: number) => {
  const workloads = await mesh.api.workloads().catch(() => []);
  return workloads.length === count && workloads.every(({ state }) => state === "live");
};

test("whatever is restarted in whatever order, all is well a moment later", { timeout: 180_000 }, async () => {
  await using mesh = await Mesh.start();
  const service = () => mesh.run("users", fixture("echo", 8080), { options: users, endpoints: 0 });
  let echo = await service();
  const ask = await mesh.run("ask", fixture("ask", "http://users/", 50), { endpoints: 0 });
  const restart = {
    controller: async () => {
      await mesh.killController();
      await mesh.up();
    },
    "called sidecar": async () => process.kill(await until("it has a sidecar", () => echo.sidecar()), "SIGKILL"),
    "calling sidecar": async () => process.kill(await ask.sidecar(), "SIGKILL"),
    launcher: async () => {
      process.kill(echo.running.pid, "SIGKILL");
      echo = await service();
    },
  };
  type Part = keyof typeof restart;
  const orders: Part[][] = [
    ["controller", "called sidecar", "calling sidecar", "launcher"],
    ["launcher", "calling sidecar", "called sidecar", "controller"],
    ["called sidecar", "controller", "launcher", "calling sidecar"],
    ["calling sidecar", "launcher", "controller", "called sidecar"],
  ];
  const wellAgain = async (what: string) => {
    await until(`both are connected after: ${what}`, () => isLive(mesh, 2), { timeoutMs: 20_000, diagnose: () => mesh.diagnose(echo) });
    const seen = answers(ask).length;
    const latest = () => answers(ask).slice(seen).slice(-10);
    await until(
      `ten calls in a row are answered after: ${what}`,
      () => latest().length === 10 && latest().every((answer) => answer === "200"),
      {
        diagnose: () => latest().join("\n"),
      },
    );
  };
  await wellAgain("start");
  for (const order of orders) {
    // At once, without waiting for one to be well before the next goes.
    for (const part of order) await restart[part]();
    await wellAgain(order.join(", "));
  }
});

test("sidecars that die while the controller is away are back with it", { timeout: 60_000 }, async () => {
  await using mesh = await Mesh.start();
  const echo = await mesh.run("users", fixture("echo", 8080), { options: users });
  const sidecar = await echo.sidecar();
  await mesh.killController();
  process.kill(sidecar, "SIGKILL");
  await until("the launcher says what it waits for", () => /no token for the sidecar of users.*WEFT-L-NO-TOKEN/s.test(echo.running.stderr));
  await mesh.up();
  await until("it is back", () => isLive(mesh, 1));
  const { stdout, stderr } = await mesh.call("caller", fixture("fetch", "http://users/"));
  assert.match(stdout, /^200 /, stderr);
});

test("an update that is lost shows with the next, and is made good, counted, and named by weft check", { timeout: 90_000 }, async () => {
  await using mesh = await Mesh.start();
  await mesh.weft(["down"]);
  const controller = await startLossyController(mesh.state);
  try {
    const first = await mesh.run("users", fixture("echo", 8080, "first"), { options: users });
    const ask = await mesh.run("ask", fixture("ask", "http://users/", 100), { endpoints: 0 });
    await until("calls are answered", () => answers(ask).length > 5);
    const lost = controller.lose("users.default");
    await mesh.run("users", fixture("echo", 8080, "second"), { options: users, endpoints: 2 });
    await lost;
    // The next change is a difference to what the sidecar never got.
    await mesh.run("users", fixture("echo", 8080, "third"), { options: users, endpoints: 3 });
    const mismatches = async () => (await ask.workload()).sidecar?.stats?.baseMismatches;
    await until("the sidecar asks for the whole", async () => (await mismatches()) === 1, { timeoutMs: 30_000 });
    const { stdout } = await mesh.weft(["check"]);
    assert.match(stdout, /! updates: 1 updates were lost and made good/);
    // Only what was made good can be called once the first is gone.
    const seen = answers(ask).length;
    await first.running.stop();
    await until("the others answer", () => answers(ask).length > seen + 20);
    assert.deepEqual(new Set(answers(ask).slice(seen)), new Set(["200"]));
  } finally {
    await controller.stop();
    await mesh.up();
  }
});
