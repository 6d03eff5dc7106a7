import { storeContract } from "./contract/contract.ts";
import { localSubject } from "./contract/local.ts";
import { openMemoryStore } from "./memory.ts";

storeContract("memory", { open: () => localSubject(openMemoryStore), runs: 200, isDurable: false });
