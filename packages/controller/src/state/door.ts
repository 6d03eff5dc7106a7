import { rmSync, statSync } from "node:fs";
import type { Server } from "node:net";
import { listenUnix } from "./listen.ts";

/** A server that can listen, and what ends the connections that it has. */
export interface Listening {
  server: Server;
  closeConnections(): void;
}

/** The inode of a path; undefined when there is nothing. */
export function inodeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.ino;
}

/** A unix socket by which a controller is reached, and which is made again when somebody deleted its file. */
export class Door {
  readonly #path: string;
  readonly #make: () => Listening;
  readonly #opened: Listening[] = [];
  #inode: number | undefined;

  /** `make` makes a server that does not listen yet; it is called again each time that the door is. */
  constructor(path: string, make: () => Listening) {
    this.#path = path;
    this.#make = make;
  }

  /** Listens. */
  async open(): Promise<void> {
    const listening = this.#make();
    await listenUnix(listening.server, this.#path);
    this.#inode = inodeOf(this.#path);
    // Nobody finds the one before any more; connections that it has go on.
    this.#opened.at(-1)?.server.close();
    this.#opened.push(listening);
  }

  /** Whether the file is this door's. */
  get isThere(): boolean {
    return inodeOf(this.#path) === this.#inode;
  }

  /** Stops listening and ends all connections. */
  close(): void {
    // Another controller may have come in its place.
    if (this.isThere) rmSync(this.#path, { force: true });
    for (const { server, closeConnections } of this.#opened) {
      server.close();
      closeConnections();
    }
  }
}
