import { isMapping } from "@weft/api/kinds";

/**
 * What an object is to be: what it is now, with what is wanted in it, and without what was wanted last time and is not any more. What nobody wrote who
 * applies stays: defaults, what the server decides, what others set. Lists are one value; null takes a field away.
 */
export function merge(last: unknown, wanted: unknown, live: unknown): unknown {
  if (!isMapping(wanted)) return wanted;
  const before = isMapping(last) ? last : {};
  const gone = (key: string) => Object.hasOwn(before, key) && !Object.hasOwn(wanted, key);
  const kept = Object.entries(isMapping(live) ? live : {}).filter(([key]) => !gone(key) && !Object.hasOwn(wanted, key));
  const set = Object.entries(wanted)
    .filter(([, value]) => value !== null)
    .map(([key, value]) => [key, merge(own(before, key), value, isMapping(live) ? own(live, key) : undefined)] as const);
  // fromEntries makes an own field of what is called __proto__.
  return Object.fromEntries([...kept, ...set]);
}

const own = (value: Record<string, unknown>, key: string) => (Object.hasOwn(value, key) ? value[key] : undefined);
