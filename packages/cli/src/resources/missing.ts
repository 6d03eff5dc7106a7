import type { Kind } from "@weft/api/kinds";
import { nearest, type WeftError, weftError } from "@weft/api/light";
import type { ResourceClient } from "@weft/client";
import { shownObject } from "./targets.ts";

/** Says that there is no such object: which one was meant, or in which namespace it is. */
export async function missingObject(client: ResourceClient, kind: Kind, name: string, namespace: string | undefined): Promise<WeftError> {
  const { items } = await client.list(kind);
  const here = items.filter(({ metadata }) => metadata.namespace === namespace).map(({ metadata }) => metadata.name);
  const elsewhere = items.find(({ metadata }) => metadata.name === name)?.metadata.namespace;
  const meant = nearest(name, here);
  const place = namespace === undefined ? "" : ` in namespace ${namespace}`;
  const suggestion =
    elsewhere !== undefined
      ? `There is one in namespace ${elsewhere}: \`-n ${elsewhere}\``
      : meant !== undefined
        ? `Did you mean ${shownObject(kind, meant)}?`
        : `\`weft get ${kind.plural}\` lists those that there are`;
  return weftError("WEFT-C-OBJECT-UNKNOWN", `There is no ${shownObject(kind, name)}${place}.`, { hint: suggestion });
}
