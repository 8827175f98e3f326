"""kill -9 at any moment: of children, of their groups, of the parent."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from asyncio.subprocess import PIPE
from collections.abc import Callable

import pytest

from governess.children import _pidfd as pidfd
from governess.children import children
from governess.subprocess import start

SCRIPT = "sleep 60 & echo $!; sleep 0.05; exit 7"

PARENT = """
import asyncio
from governess.subprocess import start

async def hold():
    async with start("sh", "-c", "echo $$; exec sleep 60", die_with_parent=True):
        await asyncio.sleep(60)

async def main():
    await asyncio.gather(*(hold() for _ in range(5)))

asyncio.run(main())
"""


@pytest.mark.parametrize("kills", [40, pytest.param(1000, marks=pytest.mark.slow)])
@pytest.mark.usefixtures("_reach")
def test_children_and_groups(run: Callable, kills: int) -> None:
    """Whoever is killed and whenever, the exit is known and true, and nobody of the group is left."""
    rng = random.Random(kills)

    async def one() -> None:
        async with start("sh", "-c", SCRIPT, stdout=PIPE, grace=0.05) as process:
            member = None
            if rng.random() < 0.8:
                line = await process.stdout.readline()
                member = os.pidfd_open(int(line))
            await asyncio.sleep(rng.random() * 0.06)
            if process.poll() is None:
                if rng.random() < 0.5:
                    process.signal_tree(signal.SIGKILL)
                else:
                    process.send_signal(signal.SIGKILL)
            assert await process.wait() in (-signal.SIGKILL, 7)
        if member is not None:
            assert pidfd.has_exited(member)
            os.close(member)

    async def main() -> None:
        for _ in range(kills // 20):
            await asyncio.gather(*(one() for _ in range(20)))
        assert children() == []

    run(main)


@pytest.mark.parametrize("kills", [2, pytest.param(50, marks=pytest.mark.slow)])
def test_parent(kills: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A parent that is killed takes those with it that are to die with it."""
    pytest.importorskip("governess.children._spawn._native", reason="the native spawner is not built")
    monkeypatch.delenv("GOVERNESS_PURE", raising=False)
    for _ in range(kills):
        with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, process_group=0) as parent:
            members = [os.pidfd_open(int(parent.stdout.readline())) for _ in range(5)]
            parent.kill()
        for member in members:
            assert pidfd.has_exited(member, 10)
            os.close(member)
