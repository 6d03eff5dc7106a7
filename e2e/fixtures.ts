import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "@weft/testkit";

/** Command line of a TypeScript fixture. */
export function fixture(name: string, ...args: (string | number)[]): string[] {
  return [process.execPath, join(root, "e2e", "fixtures", `${name}.ts`), ...args.map(String)];
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
