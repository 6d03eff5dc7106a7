import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { emptyLayout, layOut, nodeHeight, nodeWidth } from "./layout.ts";

test("callers stand left of what they call", () => {
  const { places } = layOut(emptyLayout, ["web", "users"], [{ from: "web", to: "users" }]);
  assert.ok((places.get("web")?.x ?? 0) < (places.get("users")?.x ?? 0));
});

test("nodes stay where they are while calls pause and services go away", () => {
  const first = layOut(emptyLayout, ["a", "b", "c"], [{ from: "a", to: "b" }]);
  assert.equal(layOut(first, ["a", "b", "c"], []), first);
  assert.equal(layOut(first, ["a", "b"], [{ from: "a", to: "b" }]), first);
});

test("every node has a place of its own, whatever calls what", () => {
  const id = fc.constantFrom("", "a", "b", "c", "d", "e", "192.0.2.7:443", "__proto__", "<b>");
  const edges = fc.array(fc.record({ from: id, to: id }), { maxLength: 30 });
  fc.assert(
    fc.property(fc.uniqueArray(id), edges, (extra, lines) => {
      const nodes = [...new Set([...extra, ...lines.flatMap(({ from, to }) => [from, to])])];
      const places = [...layOut(emptyLayout, nodes, lines).places.values()];
      assert.equal(places.length, nodes.length);
      for (const [index, a] of places.entries()) {
        for (const b of places.slice(index + 1)) assert.ok(Math.abs(a.x - b.x) >= nodeWidth || Math.abs(a.y - b.y) >= nodeHeight);
      }
    }),
    { numRuns: 50 },
  );
});
