// What counts, and how what it wrote is read.
import type { Kind } from "./judge.ts";
import type { Counter } from "./pair.ts";

/** Counters by name, each with what its file says of a sidecar's whole life. */
export const counters: Record<"strace" | "callgrind", Counter & { read: (text: string) => Partial<Record<Kind, number>> }> = {
  strace: {
    // Detached: the sidecar keeps its number, its parent, and its signals.
    command: ["strace", "-DDD", "-f", "-c", "-o", "OUT"],
    whole: / total$/m,
    read: (text) => ({ "system calls": Number(/^\s*100\.00\s+\S+\s+(?:\S+\s+)?(\d+)\s+(?:\d+\s+)?total$/m.exec(text)?.[1]) }),
  },
  callgrind: {
    command: ["valgrind", "--tool=callgrind", "--callgrind-out-file=OUT", "--log-file=OUT.log"],
    whole: /^totals: /m,
    read: (text) => ({ instructions: Number(/^totals: (\d+)/m.exec(text)?.[1]), allocations: calls(text, allocators) }),
  },
};

// The sidecar has no symbols, but the C library has, and every allocation ends there.
const allocators = /^(?:__libc_)?(?:malloc|calloc|realloc|memalign)$|^(?:posix_memalign|aligned_alloc)$/;

/** Calls from the sidecar to functions of such names. */
function calls(text: string, wanted: RegExp): number {
  // A name is written once, "(12) malloc", and is "(12)" from then on.
  const functions = new Map<string, string>();
  const objects = new Map<string, string>();
  const named = (names: Map<string, string>, written: string) => {
    const [, number = "", name] = /^\((\d+)\)(?: (.*))?$/.exec(written) ?? [];
    if (name !== undefined) names.set(number, name);
    return names.get(number) ?? "";
  };
  let [object, callee, count] = ["", "", 0];
  for (const line of text.split("\n")) {
    const [key, value = ""] = line.split("=", 2);
    if (key === "ob") object = named(objects, value);
    else if (key === "cob") named(objects, value);
    else if (key === "fn") named(functions, value);
    else if (key === "cfn") callee = named(functions, value);
    else if (key === "calls" && wanted.test(callee) && object.endsWith("/weft-proxy")) count += Number(value.split(" ")[0]);
  }
  return count;
}
