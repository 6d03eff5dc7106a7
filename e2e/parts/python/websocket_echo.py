"""Python's websockets as a server that only echoes, as Autobahn's cases want it.

websocket_echo.py PORT
"""

import asyncio
import sys

import websockets
from websockets.asyncio.server import serve


async def echo(socket):
    try:
        async for message in socket:
            await socket.send(message)
    except websockets.ConnectionClosedError:
        pass


async def main(port):
    async with serve(echo, "0.0.0.0", port, max_size=None):
        await asyncio.Event().wait()


asyncio.run(main(int(sys.argv[1])))
