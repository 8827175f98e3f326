"""The libraries that start children, each by its own public functions, all with the same few verbs."""

from __future__ import annotations

import asyncio
import importlib
import subprocess
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

from benchmarks.model import Missing

__all__ = ["Anyio", "Asyncio", "Library", "Threads", "Trio"]

T = TypeVar("T")
Function = Callable[[], Awaitable[object]]

CHUNK = 65536


class Library(Protocol):
    """What the questions ask of a library.

    A process has `pid` and `await process.wait()`, whichever library it is of.
    """

    def run(self, main: Callable[[], Awaitable[T]]) -> T:
        """Run an async function in a new loop."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Sleep."""
        ...

    async def together(self, functions: Iterable[Function]) -> None:
        """Run async functions at once, until all have returned."""
        ...

    async def child(self, command: list[str], output: bool) -> None:
        """Start a child and wait for its exit; with `output`, read what it writes as well."""
        ...

    async def start(self, command: list[str], stdin: int | None) -> Any:
        """Start a child and return the process."""
        ...

    async def read_all(self, command: list[str]) -> int:
        """Read a child's output to its end, as it comes, and return how many bytes came."""
        ...

    async def write_all(self, command: list[str], chunk: bytes, count: int) -> None:
        """Write to a child's input, and wait for the child's exit."""
        ...


class Asyncio:
    """asyncio's functions, in the loops of a factory; None is asyncio's own loop."""

    def __init__(self, loop_factory: Callable[[], asyncio.AbstractEventLoop] | None) -> None:
        self._loop_factory = loop_factory

    def run(self, main: Callable[[], Awaitable[T]]) -> T:
        async def call() -> T:
            return await main()

        with asyncio.Runner(loop_factory=self._loop_factory) as runner:
            return runner.run(call())

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def together(self, functions: Iterable[Function]) -> None:
        async with asyncio.TaskGroup() as group:
            for function in functions:
                group.create_task(function())  # type: ignore[arg-type]

    async def child(self, command: list[str], output: bool) -> None:
        if output:
            process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
            await process.communicate()
        else:
            process = await asyncio.create_subprocess_exec(*command)
            await process.wait()

    async def start(self, command: list[str], stdin: int | None) -> Any:
        return await asyncio.create_subprocess_exec(*command, stdin=stdin)

    async def read_all(self, command: list[str]) -> int:
        process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
        total = 0
        while chunk := await process.stdout.read(CHUNK):
            total += len(chunk)
        await process.wait()
        return total

    async def write_all(self, command: list[str], chunk: bytes, count: int) -> None:
        process = await asyncio.create_subprocess_exec(*command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        for _ in range(count):
            process.stdin.write(chunk)
            await process.stdin.drain()
        process.stdin.close()
        await process.wait()


class Threads(Asyncio):
    """`subprocess.run` in a pool of threads, beside asyncio's loop: what people do so that the loop may go on."""

    def __init__(self) -> None:
        super().__init__(None)
        self._pool = ThreadPoolExecutor(64)

    async def child(self, command: list[str], output: bool) -> None:
        await self._in_thread(lambda: subprocess.run(command, stdout=subprocess.PIPE if output else None, check=True))

    async def start(self, command: list[str], stdin: int | None) -> Any:
        raise Missing("one thread a child")

    async def read_all(self, command: list[str]) -> int:
        return await self._in_thread(lambda: _read_blocking(command))

    async def write_all(self, command: list[str], chunk: bytes, count: int) -> None:
        await self._in_thread(lambda: _write_blocking(command, chunk, count))

    async def _in_thread(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, function)


def _read_blocking(command: list[str]) -> int:
    with subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0) as process:
        return sum(len(chunk) for chunk in iter(lambda: process.stdout.read(CHUNK), b""))


def _write_blocking(command: list[str], chunk: bytes, count: int) -> None:
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, bufsize=0) as process:
        for _ in range(count):
            view = memoryview(chunk)
            while view:
                view = view[process.stdin.write(view) :]


class Trio:
    """trio's functions."""

    def __init__(self) -> None:
        self._trio = importlib.import_module("trio")

    def run(self, main: Callable[[], Awaitable[T]]) -> T:
        return self._trio.run(main)

    async def sleep(self, seconds: float) -> None:
        await self._trio.sleep(seconds)

    async def together(self, functions: Iterable[Function]) -> None:
        async with self._trio.open_nursery() as nursery:
            for function in functions:
                nursery.start_soon(function)

    async def child(self, command: list[str], output: bool) -> None:
        await self._trio.run_process(command, stdin=None, capture_stdout=output)

    async def start(self, command: list[str], stdin: int | None) -> Any:
        return await self._trio.lowlevel.open_process(command, stdin=stdin)

    async def read_all(self, command: list[str]) -> int:
        process = await self._trio.lowlevel.open_process(command, stdin=None, stdout=subprocess.PIPE)
        total = 0
        while chunk := await process.stdout.receive_some(CHUNK):
            total += len(chunk)
        await process.wait()
        return total

    async def write_all(self, command: list[str], chunk: bytes, count: int) -> None:
        options = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL}
        process = await self._trio.lowlevel.open_process(command, **options)
        for _ in range(count):
            await process.stdin.send_all(chunk)
        await process.stdin.aclose()
        await process.wait()


class Anyio:
    """anyio's functions, on its asyncio backend."""

    def __init__(self) -> None:
        self._anyio = importlib.import_module("anyio")

    def run(self, main: Callable[[], Awaitable[T]]) -> T:
        return self._anyio.run(main)

    async def sleep(self, seconds: float) -> None:
        await self._anyio.sleep(seconds)

    async def together(self, functions: Iterable[Function]) -> None:
        async with self._anyio.create_task_group() as group:
            for function in functions:
                group.start_soon(function)

    async def child(self, command: list[str], output: bool) -> None:
        stdout = subprocess.PIPE if output else None
        async with await self._anyio.open_process(command, stdin=None, stdout=stdout, stderr=None) as process:
            if output:
                async for _ in process.stdout:
                    pass
            await process.wait()

    async def start(self, command: list[str], stdin: int | None) -> Any:
        return await self._anyio.open_process(command, stdin=stdin, stdout=None, stderr=None)

    async def read_all(self, command: list[str]) -> int:
        total = 0
        async with await self._anyio.open_process(command, stdin=None, stderr=None) as process:
            async for chunk in process.stdout:
                total += len(chunk)
        return total

    async def write_all(self, command: list[str], chunk: bytes, count: int) -> None:
        options = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "stderr": None}
        async with await self._anyio.open_process(command, **options) as process:
            for _ in range(count):
                await process.stdin.send(chunk)
            await process.stdin.aclose()
            await process.wait()
