// Runs steps one after the other and adds up what they counted.
import { spawn } from "node:child_process";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { root } from "./machine.mjs";

function sum(text, pattern) {
  return [...text.matchAll(pattern)].reduce((total, found) => total + Number(found[1]), 0);
}

/** How to read the counts of passed, failed and skipped tests from a step's output. */
const counters = {
  cargo: (output) => ({
    passed: sum(output, /test result:.* (\d+) passed/g),
    failed: sum(output, /test result:.* (\d+) failed/g),
    skipped: sum(output, /test result:.* (\d+) ignored/g),
  }),
  node: (output) => ({
    passed: sum(output, /^ℹ pass (\d+)/gm),
    failed: sum(output, /^ℹ (?:fail|cancelled) (\d+)/gm),
    skipped: sum(output, /^ℹ (?:skipped|todo) (\d+)/gm),
  }),
};

// Tools call each other by name: buf its plugins, for one.
const path = `${join(root, "node_modules", ".bin")}:${process.env.PATH}`;

function execute({ run: [program, ...args], env }) {
  return new Promise((resolve) => {
    let output = "";
    const child = spawn(program, args, { cwd: root, env: { ...process.env, PATH: path, ...env }, stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (output += text));
    child.on("error", (error) => resolve({ ok: false, output: `${program}: ${error.message}` }));
    child.on("close", (code, signal) =>
      resolve({ ok: code === 0, output: stripVTControlCharacters(output) + (signal ? `\nended by ${signal}` : "") }),
    );
  });
}

function judge(step, { ok, output }) {
  const counted = step.count ? counters[step.count](output) : { passed: ok ? 1 : 0, failed: 0, skipped: 0 };
  // A runner that fails without naming a test (it did not compile, it crashed) still is one failure.
  if (!ok && counted.failed === 0) counted.failed = 1;
  return counted;
}

function skippedTests(output) {
  return [...output.matchAll(/^\s*﹣ (.*?) \([\d.]+ms\) # (.*)$/gm)].map(([, name, reason]) => `    skipped: ${name}: ${reason}`);
}

/** What a step that passed wants to be read, for example that it could not hold a bound. */
function notes(output) {
  return [...output.matchAll(/^gate: .*$/gm)].map(([line]) => `    ${line}`);
}

async function runStep(step, ci) {
  if (step.skip) {
    const failed = ci && !step.optional;
    console.log(`${failed ? "✗" : "-"} ${step.name}: ${step.skip}`);
    return { passed: 0, failed: failed ? 1 : 0, skipped: failed ? 0 : 1 };
  }
  const start = performance.now();
  const result = await execute(step);
  const counted = judge(step, result);
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  const tests = step.count ? `, ${counted.passed} passed${counted.skipped ? `, ${counted.skipped} skipped` : ""}` : "";
  console.log(`${counted.failed ? "✗" : "✓"} ${step.name} (${seconds} s${tests})`);
  for (const line of skippedTests(result.output)) console.log(line);
  if (!counted.failed) for (const line of notes(result.output)) console.log(line);
  if (counted.failed) console.log(`${result.output.replace(/^/gm, "    ")}\n`);
  return counted;
}

/** Runs all steps, whatever fails, and answers the sums. With `ci`, what cannot be checked for want of a program has failed. */
export async function runSteps(steps, { ci }) {
  const total = { passed: 0, failed: 0, skipped: 0 };
  for (const step of steps) {
    const counted = await runStep(step, ci);
    for (const kind of Object.keys(total)) total[kind] += counted[kind];
  }
  return total;
}
