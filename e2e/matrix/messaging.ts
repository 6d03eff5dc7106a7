import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { find, until } from "@weft/testkit";
import { pythonPart } from "./parts.ts";
import type { Case, Pair, Tools } from "./tools.ts";

// Caches and brokers: Redis on "redis:6379", NATS on "nats:4222", Mosquitto on "mqtt:1883".

const redis = (...args: string[]) => ["redis-cli", "-h", "redis", ...args];

/** The same with what a file holds as its input. */
const redisFrom = (file: string, ...args: string[]) => ["sh", "-c", 'file=$1; shift; exec "$@" < "$file"', "sh", file, ...redis(...args)];

function fileOf({ folder }: Tools, name: string, content: string): string {
  const file = join(folder, name);
  writeFileSync(file, content);
  return file;
}

const redisCli: Case[] = [
  {
    what: "a value of 1 MiB",
    run: async (tools) => {
      const value = "v".repeat(1024 * 1024);
      assert.equal(await tools.client(redisFrom(fileOf(tools, "value", value), "-x", "set", "large")), "OK");
      assert.equal(await tools.client(redis("get", "large")), value);
    },
  },
  {
    what: "10 000 commands in a pipeline",
    run: async (tools) => {
      const commands = Array.from({ length: 10_000 }, () => "INCR piped\r\n").join("");
      assert.match(await tools.client(redisFrom(fileOf(tools, "commands", commands), "--pipe")), /errors: 0, replies: 10000/);
      assert.equal(await tools.client(redis("get", "piped")), "10000");
    },
  },
  {
    what: "MULTI and EXEC",
    run: async (tools) => {
      const file = fileOf(tools, "transaction", "MULTI\nSET inside 1\nINCR inside\nEXEC\nGET inside\n");
      assert.equal(await tools.client(redisFrom(file)), "OK\nQUEUED\nQUEUED\nOK\n2\n2");
    },
  },
  {
    what: "SUBSCRIBE, and PUBLISH from another client",
    run: async (tools) => {
      // It listens until it is ended.
      const listening = tools.attempt(["timeout", "3", ...redis("subscribe", "news")]);
      await until("somebody has subscribed", async () => (await tools.client(redis("publish", "news", "hello"))) === "1");
      assert.match((await listening).stdout, /message\nnews\nhello/);
    },
  },
  {
    what: "a client that waits for another one's push",
    run: async ({ client }) => {
      const waiting = client(redis("blpop", "queue", "15"));
      await until("a client waits", async () => /cmd=blpop/.test(await client(redis("client", "list"))));
      await client(redis("rpush", "queue", "job"));
      assert.equal(await waiting, "queue\njob");
    },
  },
];

const redisBenchmark: Case[] = [
  {
    what: "20 clients with 16 commands under way each",
    run: async ({ client }) => {
      const said = await client(["redis-benchmark", "-h", "redis", "-n", "20000", "-c", "20", "-P", "16", "-t", "set,get", "-q", "--csv"]);
      assert.match(said, /"SET".*\n"GET"/);
      const processed = /total_commands_processed:(\d+)/.exec(await client(redis("info", "stats")))?.[1];
      assert.ok(Number(processed) >= 40_000, `Redis processed ${processed} commands`);
    },
  },
];

const python = find("python-requests") ?? "";

const natsPy: Case[] = [
  {
    what: "requests, 500 kB of payload, 1000 messages to a subscriber, and a request that nobody answers",
    run: async ({ mesh, client }) => {
      const answering = await mesh.run("nats-answer", [python, pythonPart("nats_part"), "answer", "nats://nats:4222"], { endpoints: 0 });
      await until("the answering client has subscribed", () => answering.running.stdout.includes("subscribed"));
      const saw = JSON.parse(await client([python, pythonPart("nats_part"), "call", "nats://nats:4222"]));
      assert.deepEqual(saw, { upper: "HELLO", half: true, published: 100_000, nobody: "no responders" });
    },
  },
];

const publish = (...args: string[]) => ["mosquitto_pub", "-h", "mqtt", ...args];
const subscribe = (...args: string[]) => ["mosquitto_sub", "-h", "mqtt", "-W", "15", ...args];

const mosquitto: Case[] = [
  {
    what: "a retained message",
    run: async ({ client }) => {
      await client(publish("-t", "kept", "-r", "-m", "for later"));
      assert.equal(await client(subscribe("-t", "kept", "-C", "1")), "for later");
    },
  },
  {
    what: "messages of each quality of service to a subscriber with a wildcard",
    run: async ({ mesh, client }) => {
      await client(publish("-t", "news/first", "-r", "-m", "m"));
      const { running } = await mesh.run("mqtt-subscriber", subscribe("-t", "news/#", "-q", "2", "-C", "4", "-v"), { endpoints: 0 });
      await until("the retained message is there", () => running.stdout.includes("news/first m"));
      for (const quality of ["0", "1", "2"]) await client(publish("-t", `news/q${quality}`, "-q", quality, "-m", "m"));
      const { stdout } = await running.ended;
      assert.deepEqual(stdout.trimEnd().split("\n").sort(), ["news/first m", "news/q0 m", "news/q1 m", "news/q2 m"]);
    },
  },
  {
    what: "a message of 1 MiB",
    run: async (tools) => {
      const file = fileOf(tools, "message", "m".repeat(1024 * 1024));
      await tools.client(publish("-t", "large", "-r", "-q", "1", "-f", file));
      assert.equal((await tools.client(subscribe("-t", "large", "-C", "1"))).length, 1024 * 1024);
    },
  },
  {
    what: "a will when a client dies",
    run: async ({ client, attempt }) => {
      const listening = client(subscribe("-t", "wills", "-C", "1"));
      const dying = () =>
        attempt([
          "timeout",
          "-s",
          "KILL",
          "1",
          ...subscribe("-t", "x", "--will-topic", "wills", "--will-payload", "gone", "--will-retain"),
        ]);
      await dying();
      assert.equal(await listening, "gone");
    },
  },
];

export const pairs: Pair[] = [
  { client: "redis-cli", server: "Redis", cases: redisCli },
  { client: "redis-benchmark", server: "Redis", cases: redisBenchmark },
  { client: "nats-py", server: "NATS", cases: natsPy },
  { client: "mosquitto_pub, mosquitto_sub", server: "Mosquitto", cases: mosquitto },
];
