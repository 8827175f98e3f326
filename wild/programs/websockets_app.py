"""websockets: a server whose handler starts a child."""

import asyncio

import websockets
from _child import child


async def handle(socket: object) -> None:
    await socket.send(str(await child()))


async def main() -> None:
    async with websockets.serve(handle, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with websockets.connect(f"ws://127.0.0.1:{port}") as socket:
            print(await socket.recv())


asyncio.run(main())
