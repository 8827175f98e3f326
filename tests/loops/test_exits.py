"""The end of a child reaches its protocol: process_exited, then connection_lost, whatever else goes on."""

import asyncio
import contextvars
import functools
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Callable
from typing import Any

Run = Callable[[Callable[[], Any]], Any]


class Recorder(asyncio.SubprocessProtocol):
    """Writes down how it ends."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.events.append("made")

    def process_exited(self) -> None:
        self.events.append(("exited", self.transport.get_returncode()))

    def connection_lost(self, exc: Exception | None) -> None:
        self.events.append("lost")
        self.lost.set_result(None)


def test_a_protocol_that_fails(run: Run) -> None:
    """An error in process_exited is reported by the loop, and connection_lost comes all the same."""

    class Failing(Recorder):
        def process_exited(self) -> None:
            super().process_exited()
            raise ZeroDivisionError

    async def main() -> tuple[list[list[Any]], list[type]]:
        errors: list[type] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: errors.append(type(context["exception"])))
        options = {"stdin": PIPE, "stdout": DEVNULL, "stderr": DEVNULL}
        children = [await loop.subprocess_exec(each, "cat", **options) for each in (Failing, Recorder, Failing)]
        for transport, _ in children:
            transport.get_pipe_transport(0).close()
        await asyncio.gather(*(protocol.lost for _, protocol in children))
        return [protocol.events for _, protocol in children], errors

    events, errors = run(main)
    for each in events:
        assert each == ["made", ("exited", 0), "lost"]
    assert errors == [ZeroDivisionError] * 2


def test_methods_of_an_instance(run: Run) -> None:
    """Methods that a protocol has got as attributes of its own are called, with pipes and without."""

    class Own(asyncio.SubprocessProtocol):
        def __init__(self) -> None:
            self.events: list[str] = []
            lost = self.lost = asyncio.get_running_loop().create_future()
            vars(self)["process_exited"] = lambda: self.events.append("exited")
            vars(self)["connection_lost"] = lost.set_result

    async def main(stdout: int) -> list[str]:
        options = {"stdin": DEVNULL, "stdout": stdout, "stderr": DEVNULL}
        _, protocol = await asyncio.get_running_loop().subprocess_exec(Own, "true", **options)
        assert await protocol.lost is None
        return protocol.events

    for stdout in (PIPE, DEVNULL):
        assert run(functools.partial(main, stdout)) == ["exited"]


def test_the_context_of_who_asks(run: Run) -> None:
    """Whoever finds a child dead by `poll` has no part in how the others are told."""
    variable = contextvars.ContextVar("variable", default="nobody's")

    class Contextual(Recorder):
        def process_exited(self) -> None:
            super().process_exited()
            self.events.append(variable.get())

    async def main() -> list[Any]:
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.subprocess_exec(
            Contextual, "true", stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL
        )
        variable.set("the one who asks")
        transport.get_extra_info("subprocess").wait()
        await protocol.lost
        return protocol.events

    assert run(main) == ["made", ("exited", 0), "nobody's", "lost"]
