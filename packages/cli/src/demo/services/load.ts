// Visits the shop: 60 requests a second, every third one buys something.
const interval = 1000 / Number(process.env.RATE ?? 60);
const mostAtOnce = 50;
let sent = 0;
let underWay = 0;

async function visit(): Promise<void> {
  if (underWay >= mostAtOnce) return;
  underWay += 1;
  sent += 1;
  try {
    const response = await fetch(`http://web${sent % 3 === 0 ? "/checkout" : "/"}`, { signal: AbortSignal.timeout(5000) });
    await response.arrayBuffer();
  } catch {
    // The mesh counts it.
  } finally {
    underWay -= 1;
  }
}

setInterval(visit, interval);
