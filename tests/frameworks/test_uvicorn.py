"""uvicorn serves requests in a loop of a policy."""

import contextlib
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PACKAGES = ("uvicorn",)

APPLICATION = """
governess.set_event_loop_policy(policy)
loop_factory = policy.loop_factory

async def application(scope, receive, send):
    assert scope["type"] == "http"
    body = f"{await child()} {asyncio.get_running_loop().governess_policy is policy}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
"""


@contextlib.contextmanager
def served(folder: Path, *options: str) -> Iterator[str]:
    """Run uvicorn with the program's application; its address is the value. At the end, stop it by SIGINT."""
    command = [sys.executable, "-m", "uvicorn", "--port", "0", "--lifespan", "off", *options, "program:application"]
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True) as server:
        try:
            said = []
            for line in server.stderr:
                said.append(line)
                if address := re.search(r"http://127\.0\.0\.1:\d+", line):
                    yield address[0]
                    break
            else:
                pytest.fail("".join(said), pytrace=False)
            server.send_signal(signal.SIGINT)
            server.communicate(timeout=20)
        finally:
            server.kill()


@pytest.mark.parametrize("factory", ["program:loop_factory", "governess:new_event_loop"])
def test_command(program: Callable[..., str], factory: str, tmp_path: Path) -> None:
    """`uvicorn --loop module:factory` serves, over real HTTP, a request that starts a child."""
    assert program(APPLICATION) == ""
    with served(tmp_path, "--loop", factory) as address, urllib.request.urlopen(address, timeout=20) as response:
        assert response.read() == b"7 True"


def test_inside_a_program(program: Callable[..., str]) -> None:
    """A server inside a program runs in a loop of the current policy."""
    text = f"""{APPLICATION}
import urllib.request
import uvicorn

async def main():
    server = uvicorn.Server(uvicorn.Config(application, port=0, lifespan="off", log_level="error"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]

    def ask():
        with urllib.request.urlopen(f"http://127.0.0.1:{{port}}/", timeout=20) as response:
            return response.read().decode()

    print(await asyncio.to_thread(ask))
    server.should_exit = True
    await serving

with policy:
    governess.run(main())
"""
    assert program(text) == "7 True"
