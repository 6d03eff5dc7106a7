import { join } from "node:path";
import { execute, root } from "@weft/testkit";

/** Command line of a TypeScript fixture. */
export function fixture(name: string, ...args: (string | number)[]): string[] {
  return [process.execPath, join(root, "e2e", "fixtures", `${name}.ts`), ...args.map(String)];
}

/** Builds the static Go program and answers its path. */
export async function goProgram(go: string): Promise<string> {
  const program = join(root, ".cache", "hello-go");
  const env = { ...process.env, CGO_ENABLED: "0", GOFLAGS: "-p=2", GOTOOLCHAIN: "local" };
  const { code, stderr } = await execute(go, ["build", "-o", program, join(root, "e2e", "fixtures", "hello.go")], {
    env,
    timeoutMs: 240_000,
  });
  if (code !== 0) throw new Error(`go build: ${stderr}`);
  return program;
}
