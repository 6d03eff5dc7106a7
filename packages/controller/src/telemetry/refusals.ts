import type { RefusalCount } from "@weft/api/light";

/** At most this many kinds of refusals a service, and services with refusals; more are counted under the address "other". */
const maxKinds = 100;
const maxServices = 500;

/** Connections that sidecars refused, by service, reason and origin. */
export class Refusals {
  readonly #services = new Map<string, Map<string, RefusalCount>>();

  add(service: string, refusal: RefusalCount): void {
    const kinds = this.#services.get(service) ?? new Map<string, RefusalCount>();
    if (!this.#services.has(service) && this.#services.size >= maxServices) return;
    this.#services.set(service, kinds);
    const { reason, address, identity, count, detail } = refusal;
    const wanted = JSON.stringify([reason, address, identity]);
    const full = !kinds.has(wanted) && kinds.size >= maxKinds;
    const key = full ? "other" : wanted;
    const held = kinds.get(key) ?? (full ? { ...refusal, address: "other", identity: "", count: 0 } : { ...refusal, count: 0 });
    kinds.set(key, { ...held, count: held.count + count, detail });
  }

  all(): { service: string; refusals: RefusalCount[] }[] {
    return [...this.#services].map(([service, kinds]) => ({ service, refusals: [...kinds.values()] }));
  }
}
