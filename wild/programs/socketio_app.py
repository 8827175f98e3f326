"""python-socketio: a server in aiohttp and a client; the server's handler starts a child."""

import asyncio

import socketio
from _child import child
from aiohttp import web

server = socketio.AsyncServer(async_mode="aiohttp")


@server.on("ask")
async def ask(sid: str, data: object) -> int:
    return await child()


async def main() -> None:
    application = web.Application()
    server.attach(application)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    client = socketio.AsyncClient()
    await client.connect(f"http://127.0.0.1:{port}")
    print(await client.call("ask", 1, timeout=30))
    await client.disconnect()
    await runner.cleanup()


asyncio.run(main())
