"""An aiohttp application keeps four workers alive by the library."""

import sys
from collections.abc import Callable

import pytest

if sys.platform == "win32":
    pytest.skip("services need signals and process groups of POSIX", allow_module_level=True)

PACKAGES = ("aiohttp",)


def test_a_killed_worker_is_started_again(program: Callable[..., str]) -> None:
    """kill -9 of a worker: the others serve on, none of the requests is refused, and the worker comes again."""
    text = '''
        import os, signal, socket
        from aiohttp import ClientSession, web
        from governess.services import Exec, Service, State, Supervisor

        WORKER = """
        import os, socket
        from aiohttp import web

        async def answer(request):
            return web.Response(text=str(os.getpid()), headers={"Connection": "close"})

        application = web.Application()
        application.router.add_get("/", answer)
        web.run_app(application, sock=socket.socket(fileno=3), print=None)
        """
        import textwrap

        with socket.create_server(("127.0.0.1", 0)) as free:
            address = "127.0.0.1:%d" % free.getsockname()[1]

        async def workers(application):
            command = (sys.executable, "-c", textwrap.dedent(WORKER))
            service = Service("worker", command, copies=4, listen=(address,), grace=5)
            async with Supervisor([service]) as application["workers"]:
                yield

        async def main():
            application = web.Application()
            application.cleanup_ctx.append(workers)
            runner = web.AppRunner(application)
            await runner.setup()
            supervisor = application["workers"]
            async with ClientSession() as session:

                async def ask():
                    async with session.get(f"http://{address}/") as response:
                        return int(await response.text())

                seen = set()
                while len(seen) < 2:
                    seen.add(await ask())
                victim = await ask()
                (name,) = [name for name, pid in supervisor.processes().items() if pid == victim]
                os.kill(victim, signal.SIGKILL)
                answers = [await ask() for _ in range(50)]
                assert victim not in answers
                async for event in supervisor:
                    if event.name == name and event.state is State.READY and event.pid != victim:
                        break
                others = set(supervisor.processes().values())
                assert len(others) == 4 and victim not in others
            await runner.cleanup()
            assert not any(os.path.exists(f"/proc/{pid}") for pid in others)
            print(supervisor.status()[0].state)

        with policy:
            governess.Runner(loop_factory=policy.loop_factory).run(main())
        '''
    assert program(text) == "stopped"
