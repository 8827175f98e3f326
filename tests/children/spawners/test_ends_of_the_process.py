"""A process that ends while children are being started ends at once, and takes along those that have not exec'ed."""

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from spawning import WAYS, _native

SCRIPT = """
    import asyncio, multiprocessing, os, signal, sys, threading, time
    from pathlib import Path
    from governess.children._spawn.command import Command
    from governess.children._spawn import spawner

    way, fifo, mark = {way!r}, Path({fifo!r}), {mark!r}
    if way != "popen":
        from governess.children._spawn import _native
        _native.set_way(way)

    def start(args, **stdio):
        return spawner().spawn(Command([*args], stdin=stdio.get("stdin"), stdout=-1))

    def run(main):
        thread = threading.Thread(target=asyncio.run, args=(main(),), daemon=True)
        thread.start()
        while not blocked.is_set():
            time.sleep(0.001)

    blocked = threading.Event()

    async def starting():
        asyncio.get_running_loop().call_later(0.1, blocked.set)
        await asyncio.gather(*(start(["sleep", mark], stdin=fifo) for _ in range(6)))

    async def not_taken():
        task = asyncio.create_task(start(["sleep", mark]))
        await asyncio.sleep(0)
        time.sleep(0.2)
        blocked.set()
        time.sleep(100)

    {end}
"""

ENDS = {
    "the end of the script": "run(starting)",
    "sys.exit": "run(starting); sys.exit(0)",
    "os._exit": "run(starting); os._exit(0)",
    "a signal": "run(starting); os.kill(os.getpid(), signal.SIGKILL)",
    "an exception": "run(starting); sys.stderr = None; 1 / 0",
    "born and not taken": "run(not_taken)",
    "a forked process": "run(starting); pid = os.fork(); pid or sys.exit(0); os.waitpid(pid, 0)",
    "multiprocessing": "run(starting); m = multiprocessing.get_context('fork').Process(); m.start(); m.join(10)",
}


def living(mark: str) -> list[str]:
    """Processes with this word in their command line, but for our own children of the test itself."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if mark.encode() in words or any(b"mark = " in word and mark.encode() in word for word in words):
            found.append(process.name)
    return found


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("way", [*WAYS, "popen"])
def test_end(way: str, end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever ends the process, it takes no longer than a few seconds, and nobody is left between spawned and exec."""
    monkeypatch.delenv("GOVERNESS_PURE", raising=False)
    if way == "popen":
        monkeypatch.setenv("GOVERNESS_PURE", "1")
        if end == ENDS["born and not taken"]:
            pytest.skip("Popen's thread tells the loop of a child that lives already: nobody can take it back")
    elif _native is None:
        pytest.skip("the extension is not built")
    os.mkfifo(tmp_path / "fifo")
    mark = f"600.{os.getpid()}{time.monotonic_ns()}"
    script = SCRIPT.format(way=way, fifo=str(tmp_path / "fifo"), mark=mark, end=end)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script)], timeout=20, capture_output=True, text=True
    )
    assert done.returncode in (0, -9, 1)
    assert "Fatal" not in done.stderr
    patience = time.monotonic() + 5
    while left := living(mark):
        assert time.monotonic() < patience, left
        time.sleep(0.01)
