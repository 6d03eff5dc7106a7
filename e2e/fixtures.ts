import { writeFileSync } from "node:fs";
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

/** Installs a program from a Go module and answers its path. */
export async function goTool(go: string, path: string): Promise<string> {
  const folder = join(root, ".cache", "go", ...path.split("/").slice(-2));
  const env = { ...process.env, GOBIN: folder, CGO_ENABLED: "0", GOFLAGS: "-p=2", GOTOOLCHAIN: "local" };
  const { code, stderr } = await execute(go, ["install", `${path}@v1.85.0`], { env, timeoutMs: 240_000 });
  if (code !== 0) throw new Error(`go install ${path}: ${stderr}`);
  return join(folder, path.split("/").at(-1) ?? "");
}

/** Writes a configuration of nginx that needs no root and keeps everything in `folder`; `server` is what it serves. Returns the command that starts it. */
export function nginxCommand(nginx: string, folder: string, server: string): string[] {
  const config = join(folder, "nginx.conf");
  const folders = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((kind) => `${kind}_temp_path ${folder}/${kind};`).join(" ");
  writeFileSync(
    config,
    `daemon off; worker_processes 1; pid ${folder}/nginx.pid; error_log stderr; events {}
     http { access_log off; ${folders} server { ${server} } }`,
  );
  return [nginx, "-p", folder, "-e", "stderr", "-c", config];
}
