import { maxSocketPath, statePaths, weftError } from "@weft/api/light";
import { Command, Option } from "commander";
import { type Common, define, examples, type Finish, stateOption } from "./define.ts";
import { collect, parseCount, parsePort, type Redirection, redirections } from "./options.ts";
import { defineResources } from "./resources.ts";
import { defineSeeing } from "./seeing.ts";
import { version } from "./version.ts";

/** The whole command line. `command` is what followed `--`; each command's code is loaded only when it runs. */
export function program(command: string[], finish: Finish): Command {
  const weft = new Command("weft")
    .description("A service mesh to turn on and go.")
    .version(version, "-V, --version", "print the version")
    .helpCommand("help [command]", "explain a command")
    .showSuggestionAfterError()
    .addHelpText(
      "before",
      examples([
        ["weft demo", "watch a small mesh at work"],
        ["weft run users --port 8080 -- node users.js", 'run a program as the service "users"'],
        ["weft run web --port 3000 -- python web.py", "which calls http://users/"],
        ["weft stat", "see what goes between them"],
        ["weft why web users", "and why it does not"],
      ]),
    );

  weft.hook("preAction", (_weft, action) => {
    const { state } = action.opts<Partial<Common>>();
    // `weft check` says it among other things.
    if (state !== undefined && action.name() !== "check") checkSocketPath(state);
  });

  define(weft, "up", "Start the controller, if none runs.", [
    ["weft up", "start it, or say that it runs"],
    ["weft up --page-port 9000", "with its page on http://127.0.0.1:9000/"],
  ])
    .option("--page-port <port>", "port of the page on 127.0.0.1 (default: 4180, or the next free one)", (text: string) =>
      parsePort(text, "page port"),
    )
    .action(async (options: Common & { pagePort?: number }) => (await import("./commands/up.ts")).up(options));

  define(weft, "down", "End the controller. Workloads go on without it.", [["weft down", "safe to repeat"]]).action(
    async (options: Common) => (await import("./commands/down.ts")).down(options),
  );

  define(weft, "status", "Show the controller, the workloads and the services.", [
    ["weft status", "for people"],
    ["weft status -o json", "for programs"],
  ]).action(async (options: Common) => (await import("./commands/status.ts")).status(options));

  defineRun(weft, command);

  define(weft, "demo", "Run a small mesh with real traffic, beside everything else that runs.", [
    ["weft demo", "until Ctrl-C"],
    ["weft demo --seconds 60", "for a minute"],
    ["weft demo --once", "until every service has traffic"],
  ])
    .option("--seconds <count>", "end after so many seconds", parseCount)
    .option("--once", "end as soon as every service has traffic, and print what was seen", false)
    .option("--end-with-parent", "end when the process that called weft is gone, however it ended")
    .addOption(redirectOption())
    .action(async (options: Common & { seconds?: number; once: boolean; endWithParent?: boolean; redirect: Redirection }) =>
      finish(await (await import("./demo/demo.ts")).demo(options)),
    );

  defineSeeing(weft, finish);
  defineResources(weft, finish);

  define(weft, "kubeconfig", "Print a kubeconfig with which kubectl works on this controller.", [
    ["weft kubeconfig > ~/.kube/weft", "it holds a token: keep it to yourself"],
    ["kubectl --kubeconfig ~/.kube/weft get httproutes", ""],
    ["weft kubeconfig --revoke", "nothing that was printed works any more"],
  ])
    .option("--revoke", "end the access of everything that was printed, and stop listening", false)
    .action(async (options: Common & { revoke: boolean }) => (await import("./commands/kubeconfig.ts")).kubeconfig(options));

  define(weft, "check", "Look for what keeps the mesh from working. Exit code 1 when something does.", [
    ["weft check", "each with what to do"],
    ["weft check -o json", "for programs"],
  ]).action(async (options: Common) => finish((await (await import("./commands/check.ts")).check(options)) ? 0 : 1));

  defineBackups(weft);
  defineLogs(weft);

  define(weft, "version", "Show the versions of weft, its Node and the controller.", [["weft version -o json", ""]]).action(
    async (options: Common) => (await import("./commands/version.ts")).version(options),
  );

  weft
    .command("completion")
    .description("Print a script that completes weft's commands in a shell.")
    .argument("<shell>", "bash, zsh or fish")
    .addHelpText(
      "before",
      examples([
        ['eval "$(weft completion bash)"', "in ~/.bashrc"],
        ["weft completion fish | source", "in config.fish"],
      ]),
    )
    .action(async (shell: string) => (await import("./commands/completion.ts")).completion(shell, weft));

  // What the scripts ask when kinds or names of objects are being written: the words after the command come after `--`.
  weft
    .command("complete", { hidden: true })
    .addOption(stateOption())
    .action(async (options: { state: string }) => (await import("./commands/complete.ts")).complete(command, options));

  return weft;
}

function defineRun(weft: Command, command: string[]): void {
  weft
    .command("run")
    .description("Run a program as an instance of a service, behind a sidecar. Starts the controller if none runs.")
    .usage("NAME [options] -- PROGRAM [ARG...]")
    .argument("[name]", "the service's name, by which others call it")
    .addHelpText(
      "before",
      examples([
        ["weft run users --port 8080 -- node users.js", "callers reach it at http://users/ and http://users:8080/"],
        ["weft run db --port 5432:5432/tcp -- postgres -D data", "exactly that port, protocol said"],
        ["weft run web -- python web.py", "whatever it listens on"],
      ]),
    )
    .option(
      "--port <port>",
      "port that it serves: 8080 (also as 80), 80:8080 (exactly), 80:8080/grpc (http1, http2, grpc, tcp); repeatable; default: whatever it listens on",
      collect,
    )
    .option("--no-publish", "do not open its ports on this machine's 127.0.0.1")
    .option("--upstream <name>", "without namespaces: a local port that stands for NAME or NAME:PORT; repeatable", collect)
    .addOption(redirectOption())
    .option("--end-with-parent", "end the program when the process that called weft is gone, however it ended")
    .addOption(stateOption())
    .action(async (name: string | undefined, options) => {
      const { run } = await import("./commands/run.ts");
      await run(name, command, options);
    });
}

function defineBackups(weft: Command): void {
  weft
    .command("backup")
    .description("Write all resources to a file, while the controller runs.")
    .argument("<file>", "a file, or - for standard output")
    .addHelpText(
      "before",
      examples([
        ["weft backup mesh.backup", "what `weft restore` takes"],
        ["weft backup - | ssh host 'cat > mesh.backup'", "somewhere else"],
      ]),
    )
    .option("--yes", "replace the file if there is one", false)
    .addOption(stateOption())
    .action(async (file: string, options: { state: string; yes: boolean }) => (await import("./commands/backup.ts")).backup(file, options));

  weft
    .command("restore")
    .description("Put a backup in the place of all resources, while no controller runs.")
    .argument("<file>", "a file that `weft backup` wrote")
    .addHelpText(
      "before",
      examples([
        ["weft down && weft restore mesh.backup --yes && weft up", "what was there is moved aside"],
        ["WEFT_STATE=/tmp/copy weft restore mesh.backup", "into a mesh of its own"],
      ]),
    )
    .option("--yes", "replace the resources that are there; they are moved aside", false)
    .addOption(stateOption())
    .action(async (file: string, options: { state: string; yes: boolean }) =>
      (await import("./commands/restore.ts")).restore(file, options),
    );
}

function defineLogs(weft: Command): void {
  weft
    .command("logs")
    .description("Show what the controller or the sidecars of a service wrote.")
    .argument("[name]", "a service, a workload's id, or `controller`", "controller")
    .addHelpText(
      "before",
      examples([
        ["weft logs -f", "the controller, as it goes"],
        ["weft logs users", "the sidecars of users"],
      ]),
    )
    .option("-f, --follow", "go on with what is written from now on", false)
    .option("-n, --lines <count>", "how many of the last lines", parseCount, 200)
    .addOption(stateOption())
    .action(async (name: string, options: { state: string; follow: boolean; lines: number }) =>
      (await import("./commands/logs.ts")).logs(name, options),
    );
}

function redirectOption(): Option {
  return new Option("--redirect <way>", "how calls reach the sidecar: by a network namespace, or by proxy variables")
    .choices(redirections)
    .default("auto");
}

function checkSocketPath(stateDir: string): void {
  if (Buffer.byteLength(statePaths(stateDir).controlSocket) <= maxSocketPath) return;
  throw weftError("WEFT-C-STATE-PATH-TOO-LONG", `The state directory ${stateDir} is too long a path for a unix socket.`);
}
