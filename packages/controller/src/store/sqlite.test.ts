import { join } from "node:path";
import { temporaryDirectory } from "../testing/controllers.ts";
import { storeContract } from "./contract/contract.ts";
import { localSubject } from "./contract/local.ts";
import { openSqliteStore } from "./sqlite.ts";

storeContract("sqlite", {
  open(t) {
    const path = join(temporaryDirectory(t), "store.db");
    return localSubject((options) => openSqliteStore(path, options));
  },
  runs: 30,
  isDurable: true,
});
