// Loaded before the unit tests: property tests try the same cases each time, and others when WEFT_SEED says so, so that whoever changed nothing sees nothing new.
import fc from "fast-check";
import { seed } from "./checks.mjs";

fc.configureGlobal({ ...fc.readConfigureGlobal(), seed });
