import type { ServerResponse } from "node:http";
import { type Live, weftError } from "@weft/api";

const maxViewers = 64;
// A viewer that takes nothing for so many events is let go, so that what waits for it does not wait for ever.
const maxMissed = 30;

/** Sends everything that the page shows to every viewer once a second, worked out once for all. */
export class LiveFeed {
  readonly #compute: () => Promise<Live>;
  /** How many events each viewer missed since it last took one. */
  readonly #viewers = new Map<ServerResponse, number>();
  #timer: NodeJS.Timeout | undefined;
  #computing = false;

  constructor(compute: () => Promise<Live>) {
    this.#compute = compute;
  }

  /** Adds a viewer until it goes away. */
  add(response: ServerResponse): void {
    if (this.#viewers.size >= maxViewers) throw weftError("WEFT-C-TOO-MANY", `${maxViewers} viewers watch already.`);
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
    if (response.req.method === "HEAD") return void response.end();
    this.#viewers.set(response, 0);
    response.once("close", () => this.#remove(response));
    const first = (live: Live) => response.closed || response.write(event(live));
    this.#compute().then(first, () => {});
    this.#timer ??= setInterval(() => void this.#tick(), 1000);
  }

  close(): void {
    for (const viewer of this.#viewers.keys()) viewer.end();
    clearInterval(this.#timer);
  }

  #remove(viewer: ServerResponse): void {
    this.#viewers.delete(viewer);
    if (this.#viewers.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  // What cannot be worked out within a second comes with the next.
  async #tick(): Promise<void> {
    if (this.#computing) return;
    this.#computing = true;
    try {
      this.#send(event(await this.#compute()));
    } catch {
      // The viewers see what they have; the log says what failed.
    } finally {
      this.#computing = false;
    }
  }

  // A viewer that has not taken the last event misses the next, so at most one waits for each.
  #send(next: string): void {
    for (const [viewer, missed] of this.#viewers) {
      if (viewer.writableNeedDrain && missed >= maxMissed) viewer.destroy();
      else if (viewer.writableNeedDrain) this.#viewers.set(viewer, missed + 1);
      else {
        this.#viewers.set(viewer, 0);
        viewer.write(next);
      }
    }
  }
}

function event(live: Live): string {
  return `data: ${JSON.stringify(live)}\n\n`;
}
