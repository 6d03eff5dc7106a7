import { EventEmitter } from "node:events";
import type { SourceEvent } from "./graph/events.ts";
import { Graph, type ViewChange, type ViewFailure } from "./graph/graph.ts";
import { views } from "./graph/views/index.ts";

interface Events {
  /** Objects changed, and with them what views make of them. */
  applied: [events: readonly SourceEvent[], changes: readonly ViewChange[]];
  /** A view, or who heard of a change, made a mistake. */
  failed: [failure: ViewFailure | { error: unknown }];
}

/** The one way from sources to whoever acts on what they say: sources give it events, and it tells what came of them. */
export class Flow extends EventEmitter<Events> {
  readonly graph = new Graph(views);
  #waiting: SourceEvent[] = [];

  /** Takes events in at once. */
  apply(events: readonly SourceEvent[]): void {
    if (events.length === 0) return;
    const { changes, failures } = this.graph.apply(events);
    for (const failure of failures) this.emit("failed", failure);
    try {
      this.emit("applied", events, changes);
    } catch (error) {
      this.emit("failed", { error });
    }
  }

  /** Takes events in when the present turn of the event loop is over, together with others. */
  later(events: readonly SourceEvent[]): void {
    if (this.#waiting.length === 0) {
      setImmediate(() => {
        const all = this.#waiting;
        this.#waiting = [];
        this.apply(all);
      });
    }
    this.#waiting.push(...events);
  }
}
