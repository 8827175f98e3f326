"""Pain 29: The child outlives its parent.

Told in tomerfiliba/plumbum#597, cpython#82616.
"""

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from typing import Any

import pytest

from governess.children._spawn import can_die_with_parent
from pains.verdict import Hurts

#: What each parent does: it starts a child that holds our pipe, and is killed.
PARENT = """
import importlib, os, signal, sys
CHILD = ["sh", "-c", "echo $$; exec sleep 30"]

def die():
    os.kill(os.getpid(), signal.SIGKILL)
"""

#: How long the child may live on.
PATIENCE = 1.0


def on_governess(loop_factory: Callable[..., Any]) -> str:
    return judge(
        """
        import asyncio
        from governess.subprocess import start

        async def main():
            async with start(*CHILD, die_with_parent=True):
                die()

        module, name = sys.argv[1:]
        with asyncio.Runner(loop_factory=getattr(importlib.import_module(module), name)) as runner:
            runner.run(main())
        """,
        loop_factory.__module__,
        loop_factory.__qualname__,
    )


def on_asyncio(loop_factory: Callable[..., Any]) -> str:
    return judge(
        """
        import asyncio

        async def main():
            await asyncio.create_subprocess_exec(*CHILD)
            die()

        module, name = sys.argv[1:]
        with asyncio.Runner(loop_factory=getattr(importlib.import_module(module), name)) as runner:
            runner.run(main())
        """,
        loop_factory.__module__,
        loop_factory.__qualname__,
    )


def on_trio() -> str:
    return judge(
        """
        import trio

        async def main():
            async with trio.open_nursery() as nursery:
                await nursery.start(trio.run_process, CHILD)
                die()

        trio.run(main)
        """
    )


def on_anyio() -> str:
    return judge(
        """
        import anyio

        async def main():
            async with await anyio.open_process(CHILD, stdout=None):
                die()

        anyio.run(main)
        """
    )


def judge(script: str, *arguments: str) -> str:
    """Run the parent; the pipe has its end when the child has gone, too."""
    command = [sys.executable, "-c", PARENT + textwrap.dedent(script), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        assert parent.wait() == -signal.SIGKILL
        try:
            parent.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired as error:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(error.stdout or b""), signal.SIGKILL)
            raise Hurts("the child keeps running") from None
    return "the child ends with it"


@pytest.mark.skipif(not can_die_with_parent(), reason="die_with_parent needs the native spawner or pidfds")
def test_pain_29_child_outlives_its_parent(relief: Callable[..., str]) -> None:
    """With `die_with_parent=True` the child ends when this process ends, even by SIGKILL, with all it has started."""
    relief(on_governess)
