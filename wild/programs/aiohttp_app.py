"""aiohttp: a server, a request and a child."""

import asyncio

from _child import child
from aiohttp import ClientSession, web


async def handle(request: web.Request) -> web.Response:
    return web.Response(text=str(await child()))


async def main() -> None:
    application = web.Application()
    application.router.add_get("/", handle)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    async with ClientSession() as session, session.get(f"http://127.0.0.1:{port}/") as response:
        print(response.status, await response.text())
    await runner.cleanup()


asyncio.run(main())
