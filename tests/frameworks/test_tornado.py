"""Tornado serves and asks in a loop of a policy."""

from collections.abc import Callable

import pytest

PACKAGES = ("tornado",)

SERVER = """
        from tornado.httpclient import AsyncHTTPClient
        from tornado.httpserver import HTTPServer
        from tornado.netutil import bind_sockets
        from tornado.web import Application, RequestHandler

        class Answer(RequestHandler):
            async def get(self):
                self.write(str(await child()))

        async def main():
            server = HTTPServer(Application([("/", Answer)]))
            (socket,) = bind_sockets(0, "127.0.0.1")
            server.add_socket(socket)
            response = await AsyncHTTPClient().fetch(f"http://127.0.0.1:{socket.getsockname()[1]}/")
            print(response.body.decode())
            server.stop()
            await server.close_all_connections()
"""


def test_request(program: Callable[..., str]) -> None:
    """A handler starts a child, and its status is the answer."""
    text = f"""{SERVER}
        governess.set_event_loop_policy(policy)
        with policy:
            governess.run(main())
        """
    assert program(text) == "7"


def test_own_loop_object(program: Callable[..., str]) -> None:
    """Under `install()`, Tornado's own `IOLoop` is over a loop of the policy."""
    text = f"""{SERVER}
        from tornado.ioloop import IOLoop

        with governess.installed(policy), policy:
            loop = IOLoop(make_current=False)
            assert loop.asyncio_loop.governess_policy is policy
            loop.run_sync(main)
            loop.close()
        """
    assert program(text) == "7"


@pytest.mark.parametrize("loop", ["asyncio"], indirect=True)  # uvloop refuses a handler of SIGCHLD
def test_own_children(program: Callable[..., str]) -> None:
    """Tornado's `Subprocess`, which takes SIGCHLD for itself, goes on working beside governess's children."""
    text = """
        from tornado.process import Subprocess

        async def main():
            theirs = Subprocess(["sh", "-c", "exit 5"]).wait_for_exit(raise_error=False)
            print(*await asyncio.gather(theirs, child()))

        governess.set_event_loop_policy(policy)
        with policy:
            governess.run(main())
        """
    assert program(text) == "5 7"
