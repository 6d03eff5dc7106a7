/** Most characters of a value that a message shows. */
const maxShown = 60;

/** A text without what is over some 60 characters. */
export const shortened = (text: string) => (text.length > maxShown ? `${text.slice(0, maxShown).replace(/[\ud800-\udbff]$/, "")}…` : text);

/** A value as people see it in a message. */
export function shown(value: unknown): string {
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return value === null ? "null" : "a mapping";
  // What is cut off need not be quoted first.
  return typeof value === "string" ? JSON.stringify(shortened(value)) : String(value);
}
