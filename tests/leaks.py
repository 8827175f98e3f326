"""A pytest plugin: a test that leaves a descriptor, a thread, a child or a signal handler behind fails."""

import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

#: What ends by itself (a thread on its way out, a child just signalled) gets this long.
PATIENCE = 2.0
STEP = 0.005

#: Threads that governess keeps for the life of the process.
PROCESS_LONG_THREADS = ("governess-spawn",)

#: What is there, by a key that tells it from everything else.
Things = dict[Hashable, str]


def pytest_configure() -> None:
    """Have libuv open its signal pipe, which its first loop does for the life of the process."""
    with suppress(ImportError):
        import uvloop

        uvloop.Loop().close()


def pytest_collection_finish() -> None:
    """Spare the collections after each test what is there before the first: modules, and pytest's own things."""
    _freeze()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Spare the tests of the next file what those of this one have imported, and what pytest keeps of them."""
    if nextitem is not None and nextitem.path != item.path:
        _freeze()


def _freeze() -> None:
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def no_leaks() -> Iterator[None]:
    """Compare what there is after a test with what there was before it."""
    before = _look()
    yield
    gc.collect()
    patience_ends = time.monotonic() + PATIENCE
    while leaked := _new_since(before):
        if time.monotonic() > patience_ends:
            pytest.fail("the test leaked " + ", ".join(leaked), pytrace=False)
        time.sleep(STEP)


def _look() -> list[Things]:
    return [probe() for probe in PROBES]


def _new_since(before: list[Things]) -> list[str]:
    return [
        description
        for old, now in zip(before, _look(), strict=True)
        for key, description in now.items()
        if key not in old
    ]


def descriptors() -> Things:
    """Open descriptors with what they lead to, where there is /proc."""
    found: Things = {}
    with suppress(FileNotFoundError):
        for fd in os.listdir("/proc/self/fd"):
            # The descriptor of the listing itself is closed by now.
            with suppress(FileNotFoundError):
                target = os.readlink(f"/proc/self/fd/{fd}")
                found[fd, target] = f"descriptor {fd} ({target})"
    return found


def threads() -> Things:
    return {
        thread: f"thread {thread.name!r}"
        for thread in threading.enumerate()
        if not thread.name.startswith(PROCESS_LONG_THREADS)
    }


def children() -> Things:
    """Children of any thread, alive or dead; where there is no /proc, one dead child at most."""
    pids: set[int] = set()
    for thread in os.listdir("/proc/self/task") if os.path.isdir("/proc/self/task") else []:
        # The thread may have ended.
        with suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/self/task/{thread}/children", "rb") as file:
            pids.update(map(int, file.read().split()))
    if hasattr(os, "waitid"):
        with suppress(ChildProcessError):
            zombie = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if zombie is not None:
                pids.add(zombie.si_pid)
    return {pid: f"child {pid} ({_command(pid)})" for pid in pids}


def _command(pid: int) -> str:
    try:
        line = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return "gone"
    return line.replace(b"\0", b" ").decode(errors="replace").strip() or "a zombie"


def listed_children() -> Things:
    """Children that governess knows of: one that another thread reaps is listed for a moment longer than it is there.

    On a busy machine that moment can last for several tests, each of which finds a child where there should be none.
    """
    from governess.children import children

    return {child: f"{child!r} on governess's list" for child in children()}


def signal_handlers() -> Things:
    found: Things = {}
    for name in ("SIGCHLD", "SIGINT", "SIGTERM"):
        if hasattr(signal, name):
            handler = signal.getsignal(getattr(signal, name))
            found[name, handler] = f"a handler of {name} ({handler!r})"
    wakeup = signal.set_wakeup_fd(-1)
    if wakeup != -1:
        with suppress(OSError, ValueError):  # it was closed while set
            signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
    found["wakeup", wakeup] = f"signal.set_wakeup_fd({wakeup})"
    return found


def blocked_signals() -> Things:
    """Those of the main thread."""
    return {number: f"signal {number!r} blocked" for number in signal.pthread_sigmask(signal.SIG_BLOCK, [])}


PROBES: tuple[Callable[[], Things], ...] = (threads, children, listed_children, signal_handlers)
if sys.platform != "win32":
    PROBES += (descriptors, blocked_signals)
