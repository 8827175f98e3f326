"""aiohttp serves and asks in a loop of a policy."""

from collections.abc import Callable

PACKAGES = ("aiohttp",)


def test_request(program: Callable[..., str]) -> None:
    """A handler starts a child, and its status is the answer."""
    text = """
        from aiohttp import ClientSession, web

        async def answer(request):
            return web.Response(text=str(await child()))

        async def main():
            application = web.Application()
            application.router.add_get("/", answer)
            runner = web.AppRunner(application)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            port = site._server.sockets[0].getsockname()[1]
            async with ClientSession() as session, session.get(f"http://127.0.0.1:{port}/") as response:
                print(await response.text())
            await runner.cleanup()

        governess.set_event_loop_policy(policy)
        with policy:
            governess.run(main())
        """
    assert program(text) == "7"


def test_run_app(program: Callable[..., str]) -> None:
    """`web.run_app(loop=...)` takes a loop of the policy, and stops at a signal."""
    text = """
        import os, signal
        from aiohttp import web

        async def at_start(application):
            print(await child(), asyncio.get_running_loop().governess_policy is policy)
            asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGTERM)

        application = web.Application()
        application.on_startup.append(at_start)
        with policy:
            web.run_app(application, host="127.0.0.1", port=0, print=None, loop=policy.new_event_loop())
        print("stopped")
        """
    assert program(text) == "7 True\nstopped"
