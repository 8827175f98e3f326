"""nest_asyncio under the bridge: a loop that is made reentrant inside one of its callbacks."""

import subprocess
import sys
import textwrap

import pytest

pytest.importorskip("nest_asyncio")

BEGIN = """
import asyncio, sys
import governess
governess.install()

async def child():
    return int(await (await asyncio.create_subprocess_exec(sys.executable, "-c", "raise SystemExit(3)")).wait())

loop = asyncio.new_event_loop()
seen = []
"""
# The four callbacks are one batch of `_run_once`, which has counted them before the first one makes the loop reentrant.
IN_A_BATCH = """
import nest_asyncio
def cell():
    nest_asyncio.apply(loop)
    seen.append(loop.run_until_complete(child()))
loop.call_soon(cell)
for number in range(2):
    loop.call_soon(seen.append, number)
def last():
    seen.append(loop.run_until_complete(child()))
    finish()
def finish():  # when both nested runs are over, whichever of their children has ended first
    if seen.count(3) == 2:
        loop.stop()
    else:
        loop.call_later(0.01, finish)
loop.call_soon(last)
loop.run_forever()
print(sorted(seen), loop.run_until_complete(child()))
"""
# As a notebook's cell: a nested run, and an await after it.
THEN_AWAITED = """
import nest_asyncio
async def cell():
    nest_asyncio.apply(loop)
    seen.append(loop.run_until_complete(child()))
    seen.append(await child())
    return seen
print(loop.run_until_complete(asyncio.wait_for(cell(), 30)))
"""
UNINSTALLED = """
before = list(sys.meta_path)
import nest_asyncio
assert nest_asyncio._patch_loop.__module__ == "nest_asyncio"
assert vars(nest_asyncio)["_patch_loop"].__code__.co_filename != nest_asyncio.__file__
governess.uninstall()
assert vars(nest_asyncio)["_patch_loop"].__code__.co_filename == nest_asyncio.__file__
governess.install()
assert vars(nest_asyncio)["_patch_loop"].__code__.co_filename != nest_asyncio.__file__
print("ok")
"""


def run(program: str) -> str:
    code = textwrap.dedent(BEGIN + program)
    words = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def test_applied_in_a_batch() -> None:
    """A nested run takes callbacks that asyncio's `_run_once` has counted, and the loop goes on."""
    assert run(IN_A_BATCH) == "[0, 1, 3, 3] 3"


def test_applied_in_a_task() -> None:
    """A task makes its loop reentrant, waits for a child in a nested run, and awaits another one."""
    assert run(THEN_AWAITED) == "[3, 3]"


def test_uninstall() -> None:
    """nest_asyncio is as it was after uninstall(), whether it was imported before install() or after."""
    assert run(UNINSTALLED) == "ok"
