import assert from "node:assert/strict";
import { test } from "node:test";
import type { Change, StoredObject, WatchEvent } from "../store.ts";
import { brokenPromises } from "./watch-rules.ts";

const change = (name: string, revision: number, type: Change["type"] = "put", namespace = "ns1"): Change => ({
  type,
  object: { apiVersion: "v1", kind: "Thing", metadata: { name, namespace, resourceVersion: String(revision) } } as StoredObject,
});
const event = (...changes: Change[]): WatchEvent => ({
  type: "changes",
  revision: changes[0]?.object.metadata.resourceVersion ?? "",
  changes,
});
const bookmark = (revision: number): WatchEvent => ({ type: "bookmark", revision: String(revision) });

const [a8, a9, b10, c10, a11, d12] = [
  change("a", 8),
  change("a", 9),
  change("b", 10),
  change("c", 10),
  change("a", 11, "delete"),
  change("d", 12, "put", "ns2"),
];
const history = [a8, a9, b10, c10, a11, d12];
const broken = (events: WatchEvent[], namespace?: string) => brokenPromises(history, { from: "8", namespace, events });

test("a watch that keeps all promises is not blamed", () => {
  assert.deepEqual(broken([event(a9), event(b10, c10), event(a11), event(d12)]), []);
  assert.deepEqual(broken([event(a9), bookmark(9), event(b10, c10), event(a11), bookmark(13), { type: "expired" }], "ns1"), []);
  assert.deepEqual(broken([]), []);
  assert.deepEqual(broken([event(a9)]), []);
});

/** What a watch told from revision 8 on, and the promise that it broke. */
const wrong: [string, string, WatchEvent[], string?][] = [
  ["ordered", "goes back", [event(b10, c10), event(a9)]],
  ["ordered", "has a bookmark that goes back", [event(a9), event(b10, c10), bookmark(9)]],
  ["unique", "tells a change twice", [event(a9), event(a9)]],
  ["atomic", "tells a revision in two events", [event(a9), event(b10), event(c10)]],
  ["atomic", "tells half of a revision", [event(a9), event(b10), event(a11)]],
  ["atomic", "mixes revisions", [event(a9, b10, c10)]],
  ["reliable", "leaves a change out", [event(a9), event(a11)]],
  ["reliable", "tells of another namespace", [event(a9), event(b10, c10), event(a11), event(d12)], "ns1"],
  ["reliable", "tells what did not happen", [event(a9), event(change("x", 10), b10, c10)]],
  ["reliable", "tells of a put where there was a deletion", [event(a9), event(b10, c10), event(change("a", 11))]],
  ["resumable", "begins too early", [event(a8), event(a9)]],
  ["resumable", "begins with a bookmark of before", [bookmark(8)]],
  ["bookmarkable", "has a bookmark before what led to it", [bookmark(9), event(a9)]],
  ["bookmarkable", "has a bookmark instead of a change", [event(a9), bookmark(10)]],
];

for (const [promise, what, events, namespace] of wrong)
  test(`a watch that ${what} is not ${promise}`, () => {
    const promises = broken(events, namespace);
    assert.ok(
      promises.some((each) => each.split(/[ :]/)[1] === promise),
      promises.join("\n"),
    );
  });
