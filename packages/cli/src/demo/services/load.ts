// Visits the shop once it is open: 60 requests a second, every third one buys something.
import { setTimeout as delay } from "node:timers/promises";

const interval = 1000 / Number(process.env.RATE ?? 60);
const mostAtOnce = 50;
let sent = 0;
let underWay = 0;

async function visit(path: string): Promise<boolean> {
  underWay += 1;
  try {
    const response = await fetch(`http://web${path}`, { signal: AbortSignal.timeout(5000) });
    await response.arrayBuffer();
    return response.ok;
  } catch {
    // The mesh counts it.
    return false;
  } finally {
    underWay -= 1;
  }
}

while (!(await visit("/checkout"))) await delay(200);

setInterval(() => {
  if (underWay >= mostAtOnce) return;
  sent += 1;
  visit(sent % 3 === 0 ? "/checkout" : "/");
}, interval);
