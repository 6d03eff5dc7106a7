import { defaultPagePort, prepareStateDirectory, type StatePaths, statePaths } from "@weft/api";
import type { Logger } from "pino";
import { openCa } from "./ca/files.ts";
import { Credentials, Tokens } from "./ca/proofs.ts";
import { Clocks } from "./clocks.ts";
import { Faults } from "./faults.ts";
import { Flow } from "./flow.ts";
import { resources } from "./graph/lists.ts";
import { Inspections } from "./inspect/inspections.ts";
import { openLog } from "./log.ts";
import { Mesh, type Patience } from "./mesh.ts";
import type { Registry } from "./registry/registry.ts";
import { createGrpcServer } from "./serve/grpc.ts";
import { createApi } from "./serve/http.ts";
import { unregistered } from "./serve/session.ts";
import { OpenStreams } from "./serve/streams.ts";
import { Sessions } from "./sessions/sessions.ts";
import { startSources } from "./sources/sources.ts";
import { Door } from "./state/door.ts";
import { forgetHolder, isAlive, nameHolder } from "./state/holder.ts";
import { listenLoopback } from "./state/listen.ts";
import { removeOldLogs } from "./state/logs.ts";
import { openRegistry } from "./state/registry.ts";
import { survivors } from "./state/survivors.ts";
import { watchState } from "./state/watch.ts";
import { StatusWriter } from "./status/writer.ts";
import { openStores, type Stores } from "./store/stores.ts";
import { Taps } from "./tap/taps.ts";
import { Telemetry } from "./telemetry/telemetry.ts";
import { Trusted } from "./trusted.ts";
import { version } from "./version.ts";

/** How a controller is started. */
export interface ControllerOptions {
  stateDir: string;
  /** Port of the page on 127.0.0.1, 0 for any; the first free one from 4180 on unless told. */
  pagePort?: number | undefined;
  patience?: Partial<Patience>;
}

/** A running controller. */
export interface Controller {
  pageUrl: string;
  /** Number of workloads that it knows. */
  workloads(): number;
  /** What people wrote, and what runs. */
  stores: Stores;
  /** What its sidecars follow, and where it stands with each. */
  sessions: Sessions;
  /** What asks its sidecars for requests. */
  taps: Taps;
  /** What asks its sidecars for what they hold. */
  inspections: Inspections;
  /** Resolves when it ended. */
  ended: Promise<void>;
  /** Ends it in order. */
  stop(): Promise<void>;
}

/** Starts a controller on a state directory. Throws a WeftError that says why it cannot. */
export async function startController({ stateDir, pagePort, patience }: ControllerOptions): Promise<Controller> {
  const paths = statePaths(stateDir);
  prepareStateDirectory(paths);
  const registry = openRegistry(paths);
  const undo: (() => unknown)[] = [() => registry.close()];
  const stop = async () => {
    for (const step of undo.splice(0).reverse()) await step();
  };
  try {
    nameHolder(paths.lock);
    undo.push(() => forgetHolder(paths.lock));
    return await serve(paths, registry, { pagePort, patience, undo, stop });
  } catch (error) {
    await stop();
    throw error;
  }
}

interface Serving {
  pagePort: number | undefined;
  patience: Partial<Patience> | undefined;
  undo: (() => unknown)[];
  stop(): Promise<void>;
}

async function serve(paths: StatePaths, registry: Registry, { pagePort, patience, undo, stop }: Serving): Promise<Controller> {
  const { log, errors } = openLog(paths.controllerLog);
  const { authority, credentialKey } = await openCa(paths.ca);
  const stores = await openStores(paths.objects);
  // Closed, SQLite would delete what belongs to the file at its path, which may be another's by now.
  undo.push(() => registry.isAbandoned || stores.close());
  const mesh = new Mesh(registry, patience, { survivors: () => survivors(paths.directory), isAlive });
  undo.push(() => mesh.close());
  logMesh(mesh, log);
  const flow = new Flow();
  flow.on("failed", (failure) => log.error({ ...failure, error: (failure.error as Error).stack }, "a change was not taken in"));
  const sessions = new Sessions(flow);
  mesh.on("arrived", () => sessions.arrived());
  const onError = (error: unknown) =>
    log.warn({ error: (error as Error).message }, "resources cannot be read or written; it is tried again");
  undo.push(await startSources({ mesh, stores, flow, onError }));
  const store = stores.storeFor(resources.httpRoutes);
  const status = new StatusWriter({ flow, store, standings: (resource) => sessions.standings(resource), onError });
  sessions.on("progress", (resource) => status.progress(resource));
  undo.push(() => status.close());
  const telemetry = new Telemetry(log);
  undo.push(() => telemetry.close());
  const services = {
    mesh,
    stores,
    flow,
    sessions,
    authority,
    tokens: new Tokens(),
    credentials: new Credentials(credentialKey),
    telemetry,
    taps: new Taps(),
    inspections: new Inspections(),
    faults: new Faults(),
    clocks: new Clocks(),
    trusted: new Trusted(),
    streams: new OpenStreams(),
    log,
  };
  const removeLogs = () => {
    try {
      removeOldLogs(paths.logs, (id) => mesh.workload(id) !== undefined);
    } catch (error) {
      log.warn({ error: (error as Error).message }, "old logs cannot be removed");
    }
  };
  removeLogs();
  mesh.on("removed", ({ id }) => {
    services.telemetry.forget(id);
    services.clocks.forget(id);
    services.trusted.forget(id);
    removeLogs();
  });
  mesh.on("again", ({ id }) => services.telemetry.welcome(id));
  mesh.on("revoked", (id) => services.streams.end(id, unregistered(mesh, id)));

  const { promise: ended, resolve: finished } = Promise.withResolvers<void>();
  let ending: Promise<void> | undefined;
  const end = () => {
    ending ??= stop().then(finished);
    return ending;
  };

  const control = new Door(paths.controlSocket, () => createGrpcServer(services));
  undo.push(() => control.close());
  await control.open();

  const startedAt = new Date().toISOString();
  const api = createApi({ ...services, paths, registry, errors, startedAt, shutdown: () => void end() });
  undo.push(() => api.close());
  const page = api.createServer("stranger");
  const port = await listenLoopback(page, { port: pagePort, first: defaultPagePort });
  api.setPagePort(port);
  undo.push(() => {
    page.close();
    page.closeAllConnections();
  });
  const local = new Door(paths.apiSocket, () => {
    const server = api.createServer("user");
    return { server, closeConnections: () => server.closeAllConnections() };
  });
  undo.push(() => local.close());
  await local.open();
  await api.resumeAccess();
  undo.push(watchState({ registry, path: paths.registry, doors: [control, local], mesh, log, gone: () => void end() }));

  log.info({ version, pid: process.pid, pageUrl: api.pageUrl }, "controller started");
  undo.push(() => log.info("controller ends"));
  const { taps, inspections } = services;
  return { pageUrl: api.pageUrl, stores, sessions, taps, inspections, workloads: () => mesh.workloads().length, ended, stop: end };
}

function logMesh(mesh: Mesh, log: Logger): void {
  mesh.on("removed", ({ id, service, namespace }, reason) => log.info({ workload: id, service, namespace, reason }, "workload removed"));
  mesh.on("again", ({ id, service, namespace }) => log.info({ workload: id, service, namespace }, "workload registered again"));
}
