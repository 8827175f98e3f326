"""Forks and interpreters beside starts: nothing is locked or left in the new one, and nothing is disturbed here."""

import os
import sys

import pytest

from fresh import run_fresh
from spawning import WAYS, needs_extension

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

needs_uvloop = pytest.mark.skipif(
    "uvloop" not in sys.modules, reason="uvloop is not installed"
)  # conftest.py has imported it


@pytest.fixture(params=["native", "pure"])
def spawner_name(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Fresh interpreters with the extension, or without it."""
    if request.param == "pure":
        monkeypatch.setenv("GOVERNESS_PURE", "1")
    return request.param


@needs_uvloop
@pytest.mark.parametrize("first", ["uvloop", "governess"])
def test_uvloops_own_children(spawner_name: str, first: str) -> None:
    """uvloop's own subprocess starts children beside governess's, in one loop and in two, whoever was loaded first."""
    imports = ["import uvloop", "from governess.subprocess import run; from governess.children._spawn import native"]
    if spawner_name == "pure":
        imports[1] = "from governess.subprocess import run"
    run_fresh(
        "\n".join(imports if first == "uvloop" else imports[::-1])
        + """
import asyncio, os, threading

async def theirs():
    await (await asyncio.create_subprocess_exec("true")).wait()

async def both():
    for _ in range(20):
        await asyncio.gather(run("true"), theirs())

async def mine():
    while not stop:
        await run("true")

async def alone():
    for _ in range(20):
        await theirs()

uvloop.run(both())
stop = False
thread = threading.Thread(target=asyncio.run, args=(mine(),))
thread.start()
uvloop.run(alone())
stop = True
thread.join()
"""
    )


def test_no_warning_of_a_fork(spawner_name: str) -> None:
    """A fork right after a start meets no thread of ours (3.12 and later would warn, which is an error here)."""
    run_fresh(
        """
        import asyncio, os
        from governess.children._spawn.command import Command
        from governess.children._spawn import spawner

        async def main():
            spawned = (await spawner().spawn(Command(["true"]))).claim()
            if os.fork() == 0:
                os._exit(0)
            os.wait()
            spawned.child.wait_for_exit()
            spawned.child.reap()

        for _ in range(50):
            asyncio.run(main())
        """
        if spawner_name == "native"
        else """
        import asyncio, os, threading
        from governess.subprocess import run

        asyncio.run(run("true"))
        for thread in threading.enumerate():
            if thread is not threading.main_thread():
                thread.join(10)
        if os.fork() == 0:
            os._exit(0)
        os.wait()
        """
    )


def test_a_fork_while_children_start(spawner_name: str) -> None:
    """A forked process starts children of its own, holds no pipe of its parent's, and takes nothing from it."""
    run_fresh(
        """
        import asyncio, os, threading, warnings
        from governess.subprocess import PIPE, create_subprocess_exec, run

        warnings.simplefilter("ignore", DeprecationWarning)  # that other threads run: they do

        async def cat():
            process = await create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
            assert (await process.communicate(b"x"))[0] == b"x"

        async def work():
            while not stop:
                await asyncio.gather(*(cat() for _ in range(4)))

        asyncio.run(cat())  # what is imported then: a fork meanwhile would keep the lock of a module
        stop = False
        threads = [threading.Thread(target=asyncio.run, args=(work(),)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for _ in range(20):
            pid = os.fork()
            if pid == 0:
                assert asyncio.run(run("echo", "hello")).stdout == b"hello\\n"
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
        stop = True
        for thread in threads:
            thread.join()
        """
    )


@needs_extension
@pytest.mark.parametrize("way", [WAYS[0], *(pytest.param(way, marks=pytest.mark.slow) for way in WAYS[1:])])
def test_a_fork_without_handlers(way: str) -> None:
    """A process that comes from a bare system call makes its own pool at the first need, and hangs nowhere."""
    run_fresh(
        f"""
        import asyncio, ctypes, os, threading
        from governess.children._spawn import _native
        from governess.subprocess import run

        _native.set_way({way!r})
        asyncio.run(run("true"))
        SYS_clone = {{"x86_64": 56, "aarch64": 220}}.get(os.uname().machine)
        if SYS_clone is not None:
            pid = ctypes.CDLL(None).syscall(SYS_clone, 17, 0, 0, 0, 0)
            if pid == 0:
                os._exit(int(asyncio.run(run("sh", "-c", "exit 3")).exit))
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3
        """
    )


@pytest.mark.parametrize("ends", ["in the middle", "after them"])
def test_an_interpreter_that_ends(spawner_name: str, ends: str) -> None:
    """A subinterpreter that ends takes its own starts with it, and nobody else's."""
    try:
        from _testcapi import run_in_subinterp  # noqa: F401
    except ImportError:
        pytest.skip("this Python comes without _testcapi")
    inside = """
import asyncio
try:
    from governess.subprocess import run
    done = asyncio.run(run("sh", "-c", "exit 3"))
    assert done.exit == 3, done
except RuntimeError as error:  # a Python that lets no subinterpreter start threads or processes says so
    assert "not supported" in str(error) or "subinterp" in str(error), error
"""
    run_fresh(
        f"""
        import asyncio, threading, _testcapi
        from governess.subprocess import run

        async def work():
            for _ in range({5 if ends == "after them" else 100}):
                assert (await run("echo", "x")).stdout == b"x\\n"

        def guard():
            try:
                asyncio.run(work())
            except BaseException as error:
                seen.append(error)

        seen = []
        thread = threading.Thread(target=guard)
        thread.start()
        for _ in range(3):
            assert _testcapi.run_in_subinterp({inside!r}) == 0
        thread.join()
        assert seen == [], seen
        """
    )
