const maxSegments = 8;
const maxLength = 120;

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const number = /^[0-9]+$/;
const hex = /^(?=.*[0-9])[0-9a-f]{8,}$/i;
// Tokens, ULIDs, base64: long, with letters and digits mixed.
const token = /^(?=(?:.*[0-9]){3})(?=.*[a-z])[0-9a-z_-]{20,}={0,2}$/i;

/** A path without its query, with `:id` for what names one thing only: numbers, UUIDs, hexadecimal and random texts. So many paths of one kind become one. */
export function foldPath(path: string): string {
  const [bare = ""] = path.split(/[?#]/, 1);
  const segments = bare.split("/", maxSegments + 2);
  const folded = segments.slice(0, maxSegments + 1).map((segment) => (isVariable(segment) ? ":id" : segment));
  const joined = [...folded, ...(segments.length > maxSegments + 1 ? ["…"] : [])].join("/");
  return joined.length <= maxLength ? joined : `${joined.slice(0, maxLength - 1).replace(/[\ud800-\udbff]$/, "")}…`;
}

function isVariable(segment: string): boolean {
  return [number, uuid, hex, token].some((pattern) => pattern.test(segment));
}
