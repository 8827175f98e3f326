"""Where the output of a job at a cluster goes on this side: what is sent, and what is in a shared folder."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from governess.children._per_loop import set_unless_done
from governess.jobs._attempt import Attempt, Files, Inherited

__all__ = ["Received", "SharedFolder"]

_BLOCK = 1 << 18


class SharedFolder:
    """A folder that this machine and the workers have in common.

    Args:
        path: the folder.
        run: a name for what the jobs of a run write.
    """

    def __init__(self, path: str | os.PathLike[str], run: str) -> None:
        self._path = Path(path).absolute()
        self._folder = self._path / f".governess-{run}"

    def files_of(self, attempt: Attempt, key: str) -> tuple[str, str]:
        """Return where a job writes: its own files, if they are in the folder, or others that are taken from there."""
        output = attempt.output
        if isinstance(output, Files) and all(path.absolute().is_relative_to(self._path) for path in output):
            return str(output.stdout.absolute()), str(output.stderr.absolute())
        self._folder.mkdir(mode=0o700, exist_ok=True)
        return str(self._folder / f"{key}.out"), str(self._folder / f"{key}.err")

    def close(self) -> None:
        """Remove what is left of the run."""
        shutil.rmtree(self._folder, ignore_errors=True)


class Received:
    """Takes the output of a job.

    Args:
        attempt: the try, whose output is what it is taken for.

    Attributes:
        shared: the files into which the job writes, if they are in a shared folder; None if it is sent.
    """

    def __init__(self, attempt: Attempt) -> None:
        self.shared: tuple[str, str] | None = None
        output = attempt.output
        self._files = _FileOutput(output) if isinstance(output, Files) else None
        self._write: Callable[[int, bytes], None]
        if self._files is not None:
            self._write = self._files.write
        else:
            self._write = _write_through if isinstance(output, Inherited) else output.feed  # type: ignore[union-attr]
        self._held: list[tuple[int, bytes]] | None = None
        self._has_begun = False
        self._size = 0
        self._resumed: asyncio.Future[None] | None = None

    def begin(self) -> None:
        """Make the files, if there are some; the second call does nothing."""
        if self._files is not None and not self._has_begun and self.shared is None:
            self._files.make()
        self._has_begun = True

    def feed(self, fd: int, data: bytes) -> None:
        self.begin()
        if self._held is not None:
            self._held.append((fd, data))
        else:
            self._size += len(data)
            self._write(fd, data)

    def pause(self) -> None:
        if self._held is None:
            self._held = []

    def resume(self) -> None:
        held, self._held = self._held, None
        for fd, data in held or ():
            self.feed(fd, data)
        if self._resumed is not None:
            set_unless_done(self._resumed, None)

    async def finished(self) -> None:
        """Wait until all of it is dealt with."""
        if self.shared is not None:
            await self._take_shared(self.shared)
        if self._held:
            await self._until_resumed()
        if self._files is not None:
            self._files.close()

    async def _take_shared(self, shared: tuple[str, str]) -> None:
        for fd, name in enumerate(shared, 1):
            source, target = Path(name), None if self._files is None else self._files.path(fd).absolute()
            if source == target or not source.exists():
                continue
            if target is not None:
                await asyncio.to_thread(shutil.move, source, target)
                continue
            with source.open("rb") as file:
                while data := file.read(_BLOCK):
                    self.feed(fd, data)
                    await self._until_resumed()
            source.unlink()

    async def _until_resumed(self) -> None:
        while self._held is not None:
            self._resumed = asyncio.get_running_loop().create_future()
            await self._resumed

    def take_size(self) -> int:
        size, self._size = self._size, 0
        return size


def _write_through(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


class _FileOutput:
    """Writes into the files of a job, which are there from its start on, as those of a job on this machine are."""

    def __init__(self, files: Files) -> None:
        self._paths = {1: files.stdout, 2: files.stderr}
        self._open: dict[int, BinaryIO] = {}

    def path(self, fd: int) -> Path:
        return self._paths[fd]

    def make(self) -> None:
        for path in self._paths.values():
            path.open("wb").close()

    def write(self, fd: int, data: bytes) -> None:
        if fd not in self._open:
            self._open[fd] = self._paths[fd].open("ab", buffering=0)
        self._open[fd].write(data)

    def close(self) -> None:
        for file in self._open.values():
            file.close()
        self._open.clear()
