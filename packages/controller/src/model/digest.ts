import type { Endpoint } from "@weft/api";

const offsetBasis = 0xcbf29ce484222325n;
const prime = 0x100000001b3n;

/** FNV-1a, 64 bits, of the text in UTF-8. */
export function fnv1a64(text: string): bigint {
  let hash = offsetBasis;
  for (const byte of Buffer.from(text, "utf8")) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * prime);
  return hash;
}

/** What a digest says of a set of endpoints: exclusive or of the hashes of their ids. */
export function endpointHash(endpoints: readonly Endpoint[]): bigint {
  return endpoints.reduce((hash, { id }) => hash ^ fnv1a64(id), 0n);
}
