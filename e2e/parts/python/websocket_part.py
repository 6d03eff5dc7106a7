"""Python's websockets as caller and called. See e2e/matrix/websocket.ts for what is asked.

websocket_part.py serve PORT
websocket_part.py call URL      prints what it saw as JSON
"""

import asyncio
import json
import sys

import websockets
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve as listen


async def answer(socket):
    await socket.send("welcome")
    try:
        async for message in socket:
            if message == "close":
                await socket.close(4001, "as you wish")
            elif message == "fragments":
                await socket.send(iter(["one ", "two ", "three"]))
            else:
                await socket.send(message)
    except websockets.ConnectionClosedError:
        pass


async def serve(port):
    async with listen(answer, "0.0.0.0", int(port), max_size=None):
        await asyncio.Event().wait()


async def call(url):
    saw = {}
    async with connect(url, max_size=None, subprotocols=None) as socket:
        saw["welcome"] = await socket.recv()
        saw["compressed"] = "permessage-deflate" in socket.response.headers.get("Sec-WebSocket-Extensions", "")

        async def echo(message):
            await socket.send(message)
            return await socket.recv()

        saw["text"] = await echo("grüß dich 🧵")
        saw["empty"] = await echo("")
        saw["binary"] = await echo(bytes(range(256)) * 4096) == bytes(range(256)) * 4096
        await socket.send(iter(["a", "", "b"]))
        saw["fragmentsSent"] = await socket.recv()
        await socket.send("fragments")
        saw["fragmentsReceived"] = await socket.recv()
        for number in range(1000):
            await socket.send(str(number))
        saw["inOrder"] = [int(await socket.recv()) for _ in range(1000)] == list(range(1000))
        await asyncio.wait_for(await socket.ping(b"are you there"), 10)
        saw["pong"] = True
        await socket.send("close")
        try:
            await socket.recv()
        except websockets.ConnectionClosed as closed:
            saw["closed"] = [closed.rcvd.code, closed.rcvd.reason]
    print(json.dumps(saw))


asyncio.run({"serve": serve, "call": call}[sys.argv[1]](sys.argv[2]))
