/** Does something for all items, at most `limit` at a time; answers in their order. Once one fails none is begun any more, and those under way are waited for. */
export async function parallel<Item, Result>(
  items: readonly Item[],
  work: (item: Item) => Promise<Result>,
  limit = 16,
): Promise<PromiseSettledResult<Result>[]> {
  const results: PromiseSettledResult<Result>[] = [];
  let next = 0;
  let hasFailed = false;
  const worker = async () => {
    while (next < items.length && !hasFailed) {
      const index = next++;
      try {
        results[index] = { status: "fulfilled", value: await work(items[index] as Item) };
      } catch (reason) {
        results[index] = { status: "rejected", reason };
        hasFailed = true;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker));
  return results;
}
