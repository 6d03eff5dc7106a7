"""nats-py as client.

nats_part.py answer URL     answers requests on "upper" as one of a queue group and counts what comes on "news.*"; "count" asks for that
nats_part.py call URL       prints what it saw as JSON
"""

import asyncio
import json
import sys

import nats


async def answer(url):
    client = await nats.connect(url)
    counted = 0

    async def upper(message):
        await message.respond(message.data.upper())

    async def count(message):
        nonlocal counted
        counted += len(message.data)

    async def total(message):
        await message.respond(str(counted).encode())

    await client.subscribe("upper", queue="uppers", cb=upper)
    await client.subscribe("news.*", cb=count)
    await client.subscribe("count", cb=total)
    await client.flush()
    print("subscribed", flush=True)
    await asyncio.Event().wait()


async def call(url):
    client = await nats.connect(url)
    saw = {"upper": (await client.request("upper", b"hello", timeout=10)).data.decode()}
    half = b"x" * 500_000
    saw["half"] = (await client.request("upper", half, timeout=10)).data == half.upper()
    for number in range(1000):
        await client.publish(f"news.{number}", b"n" * 100)
    await client.flush(timeout=10)
    for _ in range(100):
        saw["published"] = int((await client.request("count", b"", timeout=10)).data)
        if saw["published"] == 100_000:
            break
        await asyncio.sleep(0.02)
    try:
        await client.request("nobody", b"", timeout=10)
    except nats.errors.NoRespondersError:
        saw["nobody"] = "no responders"
    await client.drain()
    print(json.dumps(saw))


asyncio.run({"answer": answer, "call": call}[sys.argv[1]](sys.argv[2]))
