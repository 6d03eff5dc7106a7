import type { Kind } from "@weft/api/kinds";
import type { ApiObject } from "@weft/client";
import { print } from "../output.ts";
import type { ObjectFormat } from "./options.ts";
import { shownObject } from "./targets.ts";

/** An object and its kind. */
export interface Found {
  kind: Kind;
  object: ApiObject;
}

/** Prints objects: by `lines` as a table, else as they are; several as a List, as kubectl does. */
export async function printObjects(
  format: ObjectFormat,
  found: readonly Found[],
  lines: () => string[] = () => [],
  isList = found.length !== 1,
): Promise<void> {
  if (format === "name") return print("table", [], () => found.map(({ kind, object }) => shownObject(kind, object.metadata.name)));
  const objects = found.map(({ object }) => object);
  const data = isList ? { apiVersion: "v1", kind: "List", metadata: {}, items: objects } : objects[0];
  return print(format === "wide" ? "table" : format, data, lines);
}
