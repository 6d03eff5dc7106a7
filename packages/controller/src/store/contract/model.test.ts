import assert from "node:assert/strict";
import { test } from "node:test";
import type { StoredObject, Write } from "../store.ts";
import { type Answer, emptyWorld, step, type World } from "./model.ts";
import { draft } from "./steps.ts";

const resource = "things.test.weft.dev";
const object = (own: Partial<StoredObject["metadata"]>, rest: object = {}): StoredObject => ({
  ...draft("ns1", "a", 1),
  ...rest,
  metadata: {
    namespace: "ns1",
    name: "a",
    uid: "u1",
    resourceVersion: "5",
    generation: 1,
    creationTimestamp: "2026-01-01T00:00:00Z",
    ...own,
  },
});
const made = object({});
const create: Write = { verb: "create", resource, object: draft("ns1", "a", 1) };
const update: Write = { verb: "update", resource, object: { ...made, spec: { value: 2 } } };
const status: Write = { verb: "status", resource, object: { ...made, status: { ok: true } } };
const same: Write = { verb: "update", resource, object: made };
const remove: Write = { verb: "delete", resource, namespace: "ns1", name: "a" };

const empty = emptyWorld("4");
const { world: one } = step(empty, [create], { objects: [made] });
const { world: none } = step(one, [remove], { objects: [object({ resourceVersion: "6" })] });
const answer = (...objects: StoredObject[]): Answer => ({ objects });
const code = (name: string): Answer => ({ code: `WEFT-C-${name}` });

/** What was there, what was asked, what is right to answer, and what is not, with the rule that it breaks. */
const cases: [string, World, Write[], Answer, [string, Answer][]][] = [
  [
    "create of nothing",
    empty,
    [create],
    answer(made),
    [
      ["ST13", code("OBJECT-EXISTS")],
      ["ST1", answer(object({ generation: 2 }))],
      ["ST1", answer(object({}, { spec: { value: 3 } }))],
      ["ST1", answer(object({}, { status: {} }))],
      ["ST1", answer(object({ creationTimestamp: "today" }))],
      ["ST12", answer(object({ resourceVersion: "4" }))],
    ],
  ],
  [
    "create of what was deleted",
    none,
    [create],
    answer(object({ uid: "u2", resourceVersion: "7" })),
    [["ST8", answer(object({ resourceVersion: "7" }))]],
  ],
  [
    "create of what is there",
    one,
    [create],
    code("OBJECT-EXISTS"),
    [
      ["ST2", answer(made)],
      ["ST2", code("OBJECT-CHANGED")],
    ],
  ],
  [
    "update",
    one,
    [update],
    answer(object({ resourceVersion: "6", generation: 2 }, { spec: { value: 2 } })),
    [
      ["ST3", answer(object({ resourceVersion: "6" }, { spec: { value: 2 } }))],
      ["ST3", answer(object({ resourceVersion: "6", generation: 2 }))],
      ["ST3", answer(object({ resourceVersion: "6", generation: 2, uid: "u2" }, { spec: { value: 2 } }))],
      ["ST3", answer(object({ resourceVersion: "6", generation: 2, creationTimestamp: "2027-01-01T00:00:00Z" }, { spec: { value: 2 } }))],
      ["ST12", answer(object({ generation: 2 }, { spec: { value: 2 } }))],
      ["ST13", code("OBJECT-CHANGED")],
    ],
  ],
  [
    "status",
    one,
    [status],
    answer(object({ resourceVersion: "6" }, { status: { ok: true } })),
    [
      ["ST6", answer(object({ resourceVersion: "6" }))],
      ["ST3", answer(object({ resourceVersion: "6", generation: 2 }, { status: { ok: true } }))],
    ],
  ],
  ["update that changes nothing", one, [same], answer(made), [["ST7", answer(object({ resourceVersion: "6" }))]]],
  [
    "update of another version",
    step(one, [update], answer(object({ resourceVersion: "6", generation: 2 }, { spec: { value: 2 } }))).world,
    [status],
    code("OBJECT-CHANGED"),
    [["ST4", answer(object({ resourceVersion: "7", generation: 2 }, { spec: { value: 2 }, status: { ok: true } }))]],
  ],
  [
    "update of nothing",
    none,
    [update],
    code("OBJECT-UNKNOWN"),
    [
      ["ST5", answer(made)],
      ["ST5", code("OBJECT-CHANGED")],
    ],
  ],
  [
    "delete",
    one,
    [remove],
    answer(object({ resourceVersion: "6" })),
    [
      ["ST12", answer(made)],
      ["ST8", answer(object({ resourceVersion: "6" }, { spec: {} }))],
    ],
  ],
  [
    "transaction",
    one,
    [update, { ...create, object: draft("ns1", "b", 1) } as Write],
    answer(object({ resourceVersion: "6", generation: 2 }, { spec: { value: 2 } }), object({ resourceVersion: "6", name: "b", uid: "u2" })),
    [
      [
        "ST14",
        answer(
          object({ resourceVersion: "6", generation: 2 }, { spec: { value: 2 } }),
          object({ resourceVersion: "7", name: "b", uid: "u2" }),
        ),
      ],
      ["ST14", answer(object({ resourceVersion: "6", generation: 2 }, { spec: { value: 2 } }))],
    ],
  ],
  [
    "transaction that cannot be made",
    one,
    [update, create],
    code("OBJECT-EXISTS"),
    [["ST2", answer(object({ resourceVersion: "6", generation: 2 }, { spec: { value: 2 } }), made)]],
  ],
];

for (const [name, world, writes, right, wrong] of cases)
  test(`the model takes the right answer to ${name}, and rejects ${wrong.length} wrong ones by their rules`, () => {
    step(world, writes, right);
    for (const [rule, each] of wrong)
      assert.throws(() => step(world, writes, each), new RegExp(`^AssertionError \\[ERR_ASSERTION\\]: ${rule}:`), JSON.stringify(each));
  });
