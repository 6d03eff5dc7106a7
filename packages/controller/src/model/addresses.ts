/** Virtual addresses of services: 198.18.0.0/16. */
export const virtualPrefix = "198.18";

/** Workloads' own addresses: 198.19.0.0/16. */
export const workloadPrefix = "198.19";

const size = 256 * 254;

/** The address at a position of the /16: 254 to a /24, since .0 and .255 mislead people and some programs. */
export function addressAt(prefix: string, position: number): string {
  return `${prefix}.${Math.floor(position / 254)}.${(position % 254) + 1}`;
}

/**
 * Takes the first free address from position `cursor` on, round the whole range, so that an address is reused as late as possible.
 * Answers the address and the next cursor; undefined when none is free.
 */
export function allocateAddress(
  prefix: string,
  cursor: number,
  isTaken: (address: string) => boolean,
): { address: string; cursor: number } | undefined {
  for (let step = 0; step < size; step++) {
    const position = (cursor + step) % size;
    const address = addressAt(prefix, position);
    if (!isTaken(address)) return { address, cursor: (position + 1) % size };
  }
  return undefined;
}
