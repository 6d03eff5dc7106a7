import { weftError } from "@weft/api";

/** In which form an answer is wanted. */
export interface Format {
  /** Kubernetes' kind of the answer, such as Table; undefined for objects as they are. */
  as: string | undefined;
  /** Content-Type of the answer. */
  type: string;
}

const plain: Format = { as: undefined, type: "application/json" };

/** The first form of an `Accept` that is `offered`, or the plain one. Throws WEFT-C-FORMAT-UNKNOWN when none is. */
export function formatOf(
  accept: string | undefined,
  offered: readonly { as: string; group: string; versions: readonly string[] }[],
): Format {
  if (accept === undefined || accept.trim() === "") return plain;
  for (const range of accept.split(",")) {
    const [type = "", ...parameters] = range.split(";").map((part) => part.trim());
    if (!["application/json", "application/*", "*/*"].includes(type.toLowerCase())) continue;
    const named = new Map(parameters.map((each) => each.split("=", 2) as [string, string]));
    const as = named.get("as");
    if (as === undefined) return plain;
    const offer = offered.find((each) => each.as === as && each.group === named.get("g") && each.versions.includes(named.get("v") ?? ""));
    if (offer !== undefined) return { as, type: `application/json;g=${named.get("g")};v=${named.get("v")};as=${as}` };
  }
  throw weftError("WEFT-C-FORMAT-UNKNOWN", `Nothing of ${JSON.stringify(accept.slice(0, 200))} can be answered.`);
}
