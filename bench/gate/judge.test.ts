import assert from "node:assert/strict";
import { test } from "node:test";
import { counters } from "./counters.ts";
import { judge, type Measured } from "./judge.ts";

const both = (value: number) => ({ caller: value, called: value });
const baseline: Measured = {
  made: { machine: "x64", rustc: "1.95.0", glibc: "2.36" },
  requests: {
    http1: { instructions: both(20_000), "system calls": both(6), allocations: both(2) },
    http2: { instructions: both(60_000), "system calls": both(6), allocations: both(18) },
  },
  idleMemory: 460_000,
};

/** The baseline, but for some figures. */
function measured(change: (now: Measured) => void): Measured {
  const now = structuredClone(baseline);
  change(now);
  return now;
}

test("what costs what it did passes in silence", () => {
  const { rows, failures, notes } = judge(baseline, baseline);
  assert.deepEqual([failures, notes], [[], []]);
  assert.equal(rows.length, 7);
});

test("over 3 % of any figure fails, by its name, with the baseline and with which sidecar it was", () => {
  const now = measured(({ requests }) => {
    requests.http1.allocations.called = 3;
  });
  const { failures } = judge(baseline, now);
  assert.deepEqual(failures, [
    "allocations of an HTTP/1.1 request: 5, the baseline is 4: +25.0 % (the caller's sidecar +0.0 %, the called sidecar +50.0 %); the bound is +3.0 %",
  ]);
  const memory = judge(
    baseline,
    measured((now) => {
      now.idleMemory *= 1.04;
    }),
  );
  assert.match(memory.failures.join(), /^idle memory of a sidecar, bytes: 478400, the baseline is 460000: \+4\.0 %/);
});

test("up to 3 % passes, both sidecars together", () => {
  const now = measured(({ requests }) => {
    requests.http2.instructions.called *= 1.05;
  });
  assert.deepEqual(judge(baseline, now).failures, []);
});

test("clearly less is told, with how to record it", () => {
  const now = measured(({ requests }) => {
    requests.http2["system calls"].caller = 5;
  });
  const { failures, notes } = judge(baseline, now);
  assert.deepEqual(failures, []);
  assert.match(notes.join(), /^system calls of an HTTP\/2 request: 11, the baseline is 12: -8\.3 % .*npm run gate -- --record/);
});

test("what was not counted fails", () => {
  for (const nothing of [0, Number.NaN]) {
    const now = measured(({ requests }) => {
      requests.http1.allocations = both(nothing);
    });
    assert.deepEqual(judge(baseline, now).failures, ["allocations of an HTTP/1.1 request: nothing was counted"]);
  }
});

test("another compiler is told, and what it moves is held to 10 %", () => {
  const other = (factor: number) =>
    measured((now) => {
      now.made.rustc = "1.97.0";
      now.requests.http1.instructions = both(20_000 * factor);
      now.requests.http1["system calls"] = both(6 * factor);
    });
  const { failures, notes } = judge(baseline, other(1.08));
  assert.match(failures.join("\n"), /^system calls of an HTTP\/1\.1 request: .*$/);
  assert.match(
    notes.join(),
    /^the baseline was recorded with rustc 1\.95\.0, this is 1\.97\.0: instructions and memory are held to \+10\.0 % only/,
  );
  assert.equal(judge(baseline, other(1.12)).failures.length, 2);
});

test("another kind of machine is told, and only what does not depend on it is compared", () => {
  const now = measured((now) => {
    now.made.machine = "arm64";
    now.requests.http1.instructions = both(90_000);
    now.requests.http1.allocations = both(3);
  });
  const { failures, notes } = judge(baseline, now);
  assert.match(failures.join("\n"), /^allocations of an HTTP\/1\.1 request: .*$/);
  assert.match(notes.join(), /instructions and memory cannot be compared and are not/);
});

test("allocations are the sidecar's own calls to the C library, whatever name stands first", () => {
  const file = [
    ["ob=(1) /bin/weft-proxy", "fn=(1) 0x0000000000001000", "16 100"],
    ["cob=(2) /lib/libc.so.6", "cfn=(2) malloc", "calls=5 32", "16 50"],
    ["ob=(2)", "fn=(3) posix_memalign", "16 1", "cfn=(4) _mid_memalign", "calls=2 32", "16 1", "cfn=(2)", "calls=9 32", "16 1"],
    ["ob=(1)", "fn=(1)", "cob=(2)", "cfn=(2)", "calls=3 32", "16 1", "cfn=(3)", "calls=2 32", "16 1", "cfn=(5) free", "calls=7 32", "16 1"],
    ["totals: 12345"],
  ].flat();
  assert.deepEqual(counters.callgrind.read(file.join("\n")), { instructions: 12_345, allocations: 10 });
});

test("system calls are strace's total", () => {
  const file = [
    "% time     seconds  usecs/call     calls    errors syscall",
    "100.00    0.001234          12      4218         3 total",
    "",
  ];
  assert.deepEqual(counters.strace.read(file.join("\n")), { "system calls": 4218 });
});
