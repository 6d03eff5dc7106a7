import { openMemoryStore } from "./memory.ts";
import { openSqliteStore } from "./sqlite.ts";
import type { Store } from "./store.ts";

/** What runs. It is known for as long as the controller runs, and never written to disk. */
export const workloadsResource = "workloads.weft.dev";

/** Where the objects of each resource are. */
export interface Stores {
  /** The store that has a resource's objects. */
  storeFor(resource: string): Store;
  /** Writes what people wrote to a file, as a backup that `restore` takes. */
  backup(path: string): Promise<void>;
  /** Closes them all. */
  close(): Promise<void>;
}

/** Opens what people write in a file, and what runs in memory. Throws as `openSqliteStore` does. */
export async function openStores(path: string): Promise<Stores> {
  const written = await openSqliteStore(path);
  const running = openMemoryStore();
  return {
    storeFor: (resource) => (resource === workloadsResource ? running : written),
    backup: (to) => written.backup(to),
    close: async () => {
      await Promise.all([written.close(), running.close()]);
    },
  };
}
