import { cpSync, globSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { execute, root, succeed } from "@weft/testkit";

// The programs of the matrix that are built or installed first, once, in .cache.

const parts = join(root, "e2e", "parts");
const cache = join(root, ".cache", "parts");

/** Command line of a Node program of the matrix. */
export const nodePart = (name: string, ...args: string[]) => [process.execPath, join(parts, "node", `${name}.ts`), ...args];

/** Path of a Python program of the matrix. */
export const pythonPart = (name: string) => join(parts, "python", `${name}.py`);

const goEnvironment = { ...process.env, CGO_ENABLED: "0", GOFLAGS: "-p=2", GOTOOLCHAIN: "local" };

/** Builds a Go package of a folder of e2e/parts, and answers the program's path. Kubernetes' code takes minutes on a busy machine. */
async function built(go: string, folder: string, package_: string, ...program: string[]): Promise<string> {
  const path = join(cache, "go", ...program);
  await succeed(go, ["build", "-o", path, package_], { cwd: join(parts, folder), env: goEnvironment, timeoutMs: 900_000 });
  return path;
}

/** Builds a package of e2e/parts/go, or one that its go.mod names, and answers the program's path. */
export const goPart = (go: string, path: string) => built(go, "go", path.includes(".") ? path : `./${path}`, ...path.split("/").slice(-2));

/** Builds e2e/parts/kubernetes, which judges objects as an API server does, and answers the program's path. */
export const kubernetesPart = (go: string) => built(go, "kubernetes", ".", "kubernetes");

// As e2e/parts/kubernetes/go.sum would hold it, were it Go code that is needed of it.
const gatewayApi = { module: "sigs.k8s.io/gateway-api@v1.6.1", sum: "h1:mock6phZbI6rvZerwrVNk7hVNymQgHo+6sJ81Ia7ftY=" };

/** Paths of the CRDs that Gateway API publishes in its standard channel, by the kinds' plural names. */
export async function gatewayApiCrds(go: string, ...plurals: string[]): Promise<string[]> {
  const answer = await succeed(go, ["mod", "download", "-json", gatewayApi.module], {
    cwd: join(parts, "kubernetes"),
    env: goEnvironment,
    timeoutMs: 400_000,
  });
  const { Dir, Sum } = JSON.parse(answer) as { Dir: string; Sum: string };
  if (Sum !== gatewayApi.sum) throw new Error(`${gatewayApi.module} is not what it was: ${Sum}`);
  return plurals.map((plural) => join(Dir, "config/crd/standard", `gateway.networking.k8s.io_${plural}.yaml`));
}

/** Compiles the Java programs and answers the class path. */
export async function javaParts(javac: string): Promise<string> {
  const classes = join(cache, "java");
  await succeed(javac, ["-d", classes, ...globSync(join(parts, "java", "*.java"))]);
  return classes;
}

/** Installs the packages of e2e/parts/package.json, unless they are there, and answers their folder. */
export async function npmParts(): Promise<string> {
  const folder = join(cache, "npm");
  mkdirSync(folder, { recursive: true });
  const files = ["package.json", "package-lock.json"];
  const wanted = files.map((file) => readFileSync(join(parts, file), "utf8")).join("");
  const stamp = join(folder, "node_modules", ".weft-installed");
  const installed = await execute("cat", [stamp]);
  if (installed.stdout !== wanted) {
    for (const file of files) cpSync(join(parts, file), join(folder, file));
    await succeed("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], { cwd: folder, timeoutMs: 300_000 });
    writeFileSync(stamp, wanted);
  }
  return join(folder, "node_modules");
}
