import { execFileSync } from "node:child_process";
import { root, type User } from "@weft/testkit";

/** A network of its own for a whole mesh: what passes on its loopback passes between "hosts". Only root can make one. */
export class Network implements Disposable {
  readonly #name = `weft-test-${process.pid}-${Date.now() % 1_000_000}`;

  constructor() {
    execFileSync("ip", ["netns", "add", this.#name]);
    this.run("ip", "link", "set", "lo", "up");
  }

  /** Who starts things in this network. */
  get user(): User {
    const network = this.run("readlink", "/proc/self/ns/net").trim();
    return { prefix: ["ip", "netns", "exec", this.#name], uid: 0, gid: 0, root, network };
  }

  run(program: string, ...args: string[]): string {
    return execFileSync("ip", ["netns", "exec", this.#name, program, ...args], { encoding: "utf8" });
  }

  /** Lets nothing reach a TCP port, and tells nobody, until the answered function is called. */
  blackhole(port: number): () => void {
    this.run("nft", "add", "table", "inet", "trial");
    this.run("nft", "add", "chain", "inet", "trial", "input", "{ type filter hook input priority 0; }");
    this.run("nft", "add", "rule", "inet", "trial", "input", "tcp", "dport", String(port), "drop");
    return () => this.run("nft", "delete", "table", "inet", "trial");
  }

  [Symbol.dispose](): void {
    execFileSync("ip", ["netns", "delete", this.#name]);
  }
}

/** Why no network can be made here; undefined when one can. */
export function noNetwork(): string | undefined {
  if (process.getuid?.() !== 0) return "needs root to make a network";
  try {
    for (const tool of ["ip", "nft"]) execFileSync(tool, ["-V"], { stdio: "ignore" });
    new Network()[Symbol.dispose]();
    return undefined;
  } catch (error) {
    return `no network can be made: ${(error as Error).message}`;
  }
}
