import assert from "node:assert/strict";
import { test } from "node:test";
import { isFailure } from "./success.ts";

test("5xx and no answer are failures; 1xx to 4xx are not", () => {
  assert.deepEqual(
    [0, 1, 2, 3, 4, 5].filter((statusClass) => isFailure({ statusClass })),
    [0, 5],
  );
});

test("a gRPC status counts as a failure when it is the server's fault", () => {
  const statuses = Array.from({ length: 17 }, (_, grpcStatus) => grpcStatus);
  assert.deepEqual(
    statuses.filter((grpcStatus) => isFailure({ statusClass: 2, grpcStatus })),
    [2, 4, 13, 14, 15],
  );
});
