/** Which service has which port of the host's loopback, by what launchers say that they published there. */
export class Published {
  /** By port, the services of the workloads that say so, the latest last. */
  readonly #holders = new Map<number, Map<string, string>>();
  readonly #ports = new Map<string, readonly number[]>();

  /** Takes in the ports of a workload of `service`. Answers who has each port that it has now or had before: of several, who said so last. */
  set(workload: string, service: string, ports: readonly number[]): Map<number, string | undefined> {
    const before = this.#ports.get(workload) ?? [];
    if (ports.length === 0) this.#ports.delete(workload);
    else this.#ports.set(workload, ports);
    return new Map([...before, ...ports].map((port) => [port, this.#hold(port, workload, ports.includes(port) ? service : undefined)]));
  }

  /** The service that has a port. */
  holderOf(port: number): string | undefined {
    return [...(this.#holders.get(port)?.values() ?? [])].at(-1);
  }

  /** Workloads that say that their service has a port. */
  claimantsOf(port: number): Iterable<string> {
    return this.#holders.get(port)?.keys() ?? [];
  }

  #hold(port: number, workload: string, service: string | undefined): string | undefined {
    const holders = this.#holders.get(port) ?? new Map<string, string>();
    this.#holders.set(port, holders);
    if (service === undefined) holders.delete(workload);
    else if (!holders.has(workload)) holders.set(workload, service);
    if (holders.size === 0) this.#holders.delete(port);
    return this.holderOf(port);
  }
}
