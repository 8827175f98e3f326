"""What is known of a batch that hangs: its children, what each task waits for, and who holds the pipes."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import governess

__all__ = ["awaited", "describe_hang"]


def describe_hang() -> str:
    """Return what this process can tell of its children, its tasks and its descriptors."""
    children = governess.children.children()
    lines = [f"our descriptors: {_descriptors('self')}"]
    lines += _epolls()
    for child in children:
        lines.append(f"{child!r} {child.argv}, pidfd {child.pidfd}: {_state(child.pid)}")
        lines.append(f"    its descriptors: {_descriptors(str(child.pid))}")
    for task in [thing for thing in gc.get_objects() if isinstance(thing, asyncio.Task)]:
        if not task.done():
            lines.append(f"{task.get_name()}:")
            lines += [f"    {place}" for place in awaited(task.get_coro())]
    return "\n".join(lines)


def _state(pid: int) -> str:
    """Return the line of /proc/PID/status with the state, and where in the kernel it sleeps."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        state = next(line for line in status.splitlines() if line.startswith("State:"))
        return f"{state}, {Path(f'/proc/{pid}/wchan').read_text() or 'it runs'}"
    except (OSError, StopIteration) as error:
        return f"not known ({error})"


def _descriptors(process: str) -> dict[int, str]:
    found: dict[int, str] = {}
    try:
        for entry in os.scandir(f"/proc/{process}/fd"):
            try:
                found[int(entry.name)] = os.readlink(entry.path)
            except OSError:  # it is closed by now
                continue
    except OSError:
        pass
    return found


def _epolls() -> Iterator[str]:
    """Give what each epoll waits for (proc_pid_fdinfo(5)); one that has told of its event has no EPOLLIN left."""
    for number, target in _descriptors("self").items():
        if target == "anon_inode:[eventpoll]":
            lines = Path(f"/proc/self/fdinfo/{number}").read_text().splitlines()
            yield f"epoll {number}: {[' '.join(line.split()) for line in lines if line.startswith('tfd')]}"


def awaited(coroutine: Any) -> Iterator[str]:
    """Give the place in each coroutine, from the outermost to the innermost, and what that waits for."""
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "gi_frame", None)
        if frame is None:
            yield repr(coroutine)
            return
        yield f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_qualname}"
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "gi_yieldfrom", None)
