"""Pain 3: `kill()` hits a recycled pid or group.

Told in cpython#127049.
"""

import contextlib
import os
import signal
from asyncio import AbstractEventLoop
from collections.abc import Callable

import pytest

from pains.recycled import has_namespaces, in_namespace


def on_governess(loop_factory: Callable[[], AbstractEventLoop]) -> str:
    is_uvloop = getattr(loop_factory, "__module__", "").startswith("uvloop")
    return in_namespace("governess on uvloop" if is_uvloop else "governess")


def on_asyncio(loop_factory: Callable[[], AbstractEventLoop]) -> str:
    return in_namespace("asyncio")


def on_uvloop(loop_factory: Callable[[], AbstractEventLoop]) -> str:
    return in_namespace("uvloop")


def on_trio() -> str:
    return in_namespace("trio")


def on_anyio() -> str:
    return in_namespace("anyio")


def test_pain_03_kill_hits_a_recycled_pid(relief: Callable[..., str]) -> None:
    """After the reap, no signal is sent to the pid of the child or of its group. Here another process has both."""
    if not has_namespaces():
        pytest.skip("this machine gives us no pid namespace, in which numbers can be had again")
    relief(on_governess)


def test_no_number_is_signalled_after_the_reap(relief: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the tests run: neither `os.kill` nor `os.killpg`, both patched, is called for a child that is reaped."""
    signalled: list[int] = []

    async def main() -> None:
        from governess.subprocess import create_subprocess_exec

        process = await create_subprocess_exec("true", process_group=0)
        await process.wait()
        with monkeypatch.context() as patched:
            patched.setattr(os, "kill", lambda pid, number: signalled.append(pid))
            patched.setattr(os, "killpg", lambda pid, number: signalled.append(pid))
            for send in (process.kill, process.terminate, lambda: process.signal_tree(signal.SIGKILL)):
                with contextlib.suppress(ProcessLookupError):
                    send()

    relief(main)
    assert signalled == []
