"""A program that takes `epoll` out of the module `select`, as gevent does, before or after governess is imported."""

import subprocess
import sys

import pytest

if sys.platform != "linux":
    pytest.skip("only Linux has an epoll", allow_module_level=True)

TAKE_OUT = "import select; del select.epoll"
PROGRAM = """
import asyncio, sys
async def main():
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "raise SystemExit(3)")
    return int(await process.wait())
loop = asyncio.SelectorEventLoop(__import__("selectors").PollSelector())
print(loop.run_until_complete(main()), governess.get_child_watcher().__class__.__name__)
loop.close()
"""
INSTALL = "import governess; governess.install(governess.DefaultEventLoopPolicy(watcher=governess.PidfdChildWatcher))"


@pytest.mark.parametrize("lines", [(TAKE_OUT, INSTALL), (INSTALL, TAKE_OUT)], ids=["before", "after"])
def test_without_epoll_in_the_module(lines: tuple[str, str]) -> None:
    """PidfdChildWatcher notices the exit all the same."""
    program = "\n".join([*lines, PROGRAM])
    words = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "3 PidfdChildWatcher\n", "")
