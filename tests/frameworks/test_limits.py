"""aiohttp's and uvicorn's servers under a limit: of 40 requests at once never more than 10 are in progress."""

from collections.abc import Callable

PACKAGES = ("aiohttp", "uvicorn")

CLIENT = """
        from aiohttp import ClientSession, TCPConnector, web
        import uvicorn

        policy = governess.LimitedEventLoopPolicy(loop_factory={loop!r}, max_tasks=10)
        now = most = 0

        async def work():
            global now, most
            now += 1
            most = max(most, now)
            await asyncio.sleep(0.02)
            now -= 1

        def ask(port):
            async def main():
                async with ClientSession(connector=TCPConnector(limit=0)) as session:
                    async def get():
                        async with session.get(f"http://127.0.0.1:{{port}}/") as response:
                            assert await response.text() == "done"
                    await asyncio.gather(*(get() for _ in range(40)))
            asyncio.run(main())
"""

AIOHTTP = """
        @web.middleware
        async def limit(request, handler):
            return await asyncio.get_running_loop().create_task(handler(request))

        async def answer(request):
            await work()
            return web.Response(text="done")

        async def main():
            application = web.Application(middlewares=[limit])
            application.router.add_get("/", answer)
            runner = web.AppRunner(application)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            await asyncio.to_thread(ask, site._server.sockets[0].getsockname()[1])
            await runner.cleanup()

        with asyncio.Runner(loop_factory=policy.loop_factory) as runner:
            runner.run(main())
        assert 2 <= most <= 10, most
        print("right")
"""

UVICORN = """
        async def application(scope, receive, send):
            await work()
            headers = [(b"content-type", b"text/plain")]
            await send({{"type": "http.response.start", "status": 200, "headers": headers}})
            await send({{"type": "http.response.body", "body": b"done"}})

        async def main():
            server = uvicorn.Server(uvicorn.Config(application, port=0, lifespan="off", log_level="error"))
            serving = asyncio.ensure_future(server.serve())
            while not server.started:
                await asyncio.sleep(0.01)
            await asyncio.to_thread(ask, server.servers[0].sockets[0].getsockname()[1])
            server.should_exit = True
            await serving

        with asyncio.Runner(loop_factory=policy.loop_factory) as runner:
            runner.run(main())
        assert 2 <= most <= 10, most
        print("right")
"""


def test_aiohttp(program: Callable[..., str], loop: str) -> None:
    """aiohttp makes its tasks directly from Python 3.12 on: a middleware makes those of requests by the loop."""
    assert program((CLIENT + AIOHTTP).format(loop=loop)) == "right"


def test_uvicorn(program: Callable[..., str], loop: str) -> None:
    """uvicorn makes the task of each request by the loop."""
    assert program((CLIENT + UVICORN).format(loop=loop)) == "right"
