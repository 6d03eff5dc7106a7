import assert from "node:assert/strict";
import { test } from "node:test";
import { stateDirectory, statePaths } from "./state.ts";

test("WEFT_STATE beats XDG_STATE_HOME, which beats the home directory", () => {
  assert.equal(stateDirectory({ WEFT_STATE: "/a", XDG_STATE_HOME: "/b" }), "/a");
  assert.equal(stateDirectory({ XDG_STATE_HOME: "/b" }), "/b/weft");
  assert.match(stateDirectory({}), /\/\.local\/state\/weft$/);
});

test("the parts of a state directory have the names of ARCHITECTURE.md", () => {
  const paths = statePaths("/s");
  assert.equal(paths.apiSocket, "/s/api.sock");
  assert.equal(paths.controlSocket, "/s/control.sock");
  assert.equal(paths.workloadLog("w-1"), "/s/logs/w-1.log");
});
