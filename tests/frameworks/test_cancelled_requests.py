"""A request whose client has gone takes its child with it, and all that the child has started."""

from collections.abc import Callable

import pytest

COMMON = """
    import os, socket
    from aiohttp import ClientSession
    from governess.subprocess import PIPE, run, start

    reader, writer = os.pipe()
    TREE = "sh", "-c", "sleep 60 & echo up; wait"

    async def ask_and_leave(port):
        async with ClientSession() as session:
            request = asyncio.create_task(session.get(f"http://127.0.0.1:{port}/"))
            assert await asyncio.to_thread(os.read, reader, 3) == b"up\\n"
            os.close(writer)
            request.cancel()
            await asyncio.wait([request])
        # The end of the pipe comes when nobody of the tree has it any more.
        async with asyncio.timeout(20):
            assert await asyncio.to_thread(os.read, reader, 1) == b""
        print("gone")
"""

AIOHTTP = """
    from aiohttp import web

    async def answer(request):
        await run(*TREE, stdout=writer)
        return web.Response(text="never")

    async def main():
        application = web.Application()
        application.router.add_get("/", answer)
        runner = web.AppRunner(application, handler_cancellation=True)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        await ask_and_leave(site._server.sockets[0].getsockname()[1])
        await runner.cleanup()

    policy.__enter__()
    governess.run(main())
"""

UVICORN = """
    import uvicorn

    async def main():
        with socket.create_server(("127.0.0.1", 0)) as listener:
            server = uvicorn.Server(uvicorn.Config(application, log_level="warning", lifespan="off"))
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            await ask_and_leave(listener.getsockname()[1])
            server.should_exit = True
            await serving

    policy.__enter__()
    governess.run(main())
"""

PLAIN_ASGI = """
    async def application(scope, receive, send):
        working = asyncio.create_task(run(*TREE, stdout=writer))
        while (await receive())["type"] != "http.disconnect":
            pass
        working.cancel()
        await asyncio.wait([working])
"""

STARLETTE = """
    from starlette.applications import Starlette
    from starlette.responses import StreamingResponse
    from starlette.routing import Route

    async def lines():
        async with start(*TREE, stdout=PIPE, stderr=writer) as process:
            async for line in process.stdout.lines():
                os.write(writer, line + b"\\n")
                yield line

    async def stream(request):
        return StreamingResponse(lines())

    application = Starlette(routes=[Route("/", stream)])
"""


class TestAiohttp:
    def test_gone(self, program: Callable[..., str]) -> None:
        """aiohttp cancels the handler (``handler_cancellation=True``), which ends its tree."""
        assert program(COMMON + AIOHTTP) == "gone"


class TestUvicorn:
    @pytest.mark.parametrize("application", [PLAIN_ASGI, STARLETTE], ids=["ASGI", "Starlette"])
    def test_gone(self, program: Callable[..., str], application: str) -> None:
        """A task that is cancelled at the disconnect, and a stream of Starlette's, end their tree."""
        assert program(COMMON + application + UVICORN) == "gone"


PACKAGES = ("aiohttp", "starlette", "uvicorn")
