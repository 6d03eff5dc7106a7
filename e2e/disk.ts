import assert from "node:assert/strict";
import { appendFileSync, statfsSync, writeFileSync } from "node:fs";

/** Fills the disk below `folder` to the last byte, with a file. */
export function fill(filler: string, folder: string): void {
  writeFileSync(filler, "");
  for (const size of [65_536, 4_096, 1]) {
    try {
      while (statfsSync(folder).bavail > 0 || size === 1) appendFileSync(filler, Buffer.alloc(size));
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, "ENOSPC");
    }
  }
}
