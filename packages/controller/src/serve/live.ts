import type { ServerResponse } from "node:http";
import { type Live, weftError } from "@weft/api";

const maxViewers = 64;
const maxUnread = 8 * 1024 * 1024;

/** Sends everything that the page shows to every viewer once a second, worked out once for all. */
export class LiveFeed {
  readonly #compute: () => Live;
  readonly #viewers = new Set<ServerResponse>();
  #timer: NodeJS.Timeout | undefined;

  constructor(compute: () => Live) {
    this.#compute = compute;
  }

  /** Adds a viewer until it goes away. */
  add(response: ServerResponse): void {
    if (this.#viewers.size >= maxViewers) throw weftError("WEFT-C-TOO-MANY", `${maxViewers} viewers watch already.`);
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
    this.#viewers.add(response);
    response.once("close", () => this.#remove(response));
    response.write(event(this.#compute()));
    this.#timer ??= setInterval(() => this.#tick(), 1000);
  }

  close(): void {
    for (const viewer of this.#viewers) viewer.end();
    clearInterval(this.#timer);
  }

  #remove(viewer: ServerResponse): void {
    this.#viewers.delete(viewer);
    if (this.#viewers.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  // A viewer that is slow misses events; one that does not read at all is let go.
  #tick(): void {
    const next = event(this.#compute());
    for (const viewer of this.#viewers) {
      if (viewer.writableLength > maxUnread) viewer.destroy();
      else if (!viewer.writableNeedDrain || viewer.writableLength === 0) viewer.write(next);
    }
  }
}

function event(live: Live): string {
  return `data: ${JSON.stringify(live)}\n\n`;
}
