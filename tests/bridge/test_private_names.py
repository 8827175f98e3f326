"""What old programs use of asyncio behind its public names, with the bridge installed."""

import asyncio
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

if sys.platform == "win32":
    pytest.skip("there are no child watchers on Windows", allow_module_level=True)

import governess


@pytest.fixture(autouse=True)
def bridge() -> Iterator[None]:
    with governess.installed(governess.DefaultEventLoopPolicy()):
        yield


async def child(code: int = 3) -> int:
    return await (await asyncio.create_subprocess_exec("sh", "-c", f"exit {code}")).wait()


class Started(asyncio.SelectorEventLoop):
    started = 0

    async def _make_subprocess_transport(self, *args: Any, **options: Any) -> Any:
        type(self).started += 1
        return await super()._make_subprocess_transport(*args, **options)


@pytest.mark.parametrize("create", [asyncio.create_subprocess_exec, asyncio.create_subprocess_shell])
def test_own_subprocess_transport(create: Callable[..., Any]) -> None:
    """A loop class's own `_make_subprocess_transport` is called, and what it derives from is governess's."""

    class Policy(asyncio.DefaultEventLoopPolicy):
        _loop_factory = Started

    async def main() -> tuple[int, int, type]:
        process = await create("exit 3" if create is asyncio.create_subprocess_shell else "true", stdout=-1)
        await process.communicate()
        return await process.wait(), process.returncode, type(asyncio.get_running_loop())

    before = Started.started
    asyncio.set_event_loop_policy(Policy())
    returncode, same, kind = asyncio.run(main())
    assert returncode == same
    assert isinstance(returncode, governess.Exit)
    assert (Started.started, kind) == (before + 1, Started)


def test_own_subprocess_transport_without_the_bridge() -> None:
    """In a watched class, too, the class's own method is called."""
    with asyncio.Runner(loop_factory=governess.watched(Started)) as runner:
        before = runner.get_loop().started
        assert runner.run(child()) == 3
        assert runner.get_loop().started == before + 1


def test_own_subprocess_exec() -> None:
    """A loop class's own `subprocess_exec` is called."""
    calls = []

    class Loop(asyncio.SelectorEventLoop):
        async def subprocess_exec(self, *args: Any, **options: Any) -> Any:
            calls.append(args[1])
            return await super().subprocess_exec(*args, **options)

    class Policy(asyncio.DefaultEventLoopPolicy):
        _loop_factory = Loop

    asyncio.set_event_loop_policy(Policy())
    assert asyncio.run(child()) == 3
    assert calls == ["sh"]


def test_own_child_watcher_callback() -> None:
    """A loop's own `_child_watcher_callback` gets the exit, before wait() returns; asyncio's passes it on."""
    seen = []

    async def main() -> tuple[int, int]:
        loop: Any = asyncio.get_running_loop()
        passed_on = loop._child_watcher_callback

        def callback(pid: int, returncode: int, transport: Any) -> None:
            seen.append((pid, returncode, transport.get_returncode()))
            passed_on(pid, returncode, transport)

        loop._child_watcher_callback = callback
        process = await asyncio.create_subprocess_exec("sh", "-c", "exit 3")
        return process.pid, await process.wait()

    pid, returncode = asyncio.run(main())
    assert returncode == 3
    assert seen == [(pid, 3, None)]


def test_signal_handler_beside_safe(caplog: pytest.LogCaptureFixture) -> None:
    """`loop.add_signal_handler(SIGCHLD)` beside a SafeChildWatcher logs nothing."""
    asyncio.set_child_watcher(asyncio.SafeChildWatcher())
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.run_until_complete(child())
    loop.add_signal_handler(signal.SIGCHLD, lambda: None)
    loop.run_until_complete(asyncio.sleep(0))
    loop.remove_signal_handler(signal.SIGCHLD)
    asyncio.set_event_loop(None)
    loop.close()
    assert caplog.messages == []


def test_signal_handler_beside_multiloop(caplog: pytest.LogCaptureFixture) -> None:
    """A MultiLoopChildWatcher whose handler was replaced says so when it is closed, as asyncio's did."""
    watcher = asyncio.MultiLoopChildWatcher()
    before = signal.signal(signal.SIGCHLD, lambda *_: None)
    with caplog.at_level(logging.WARNING):
        watcher.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    assert before is not None
    assert caplog.messages == ["SIGCHLD handler was changed by outside code"]


def test_multiloop_opens_again() -> None:
    """A MultiLoopChildWatcher that was closed is active again when a loop is attached, as asyncio's was."""
    watcher = asyncio.MultiLoopChildWatcher()
    watcher.close()
    assert not watcher.is_active()
    with asyncio.Runner() as runner:
        watcher.attach_loop(runner.get_loop())
        assert watcher.is_active()
    watcher.close()
    assert signal.getsignal(signal.SIGCHLD) is signal.SIG_DFL


def test_type_of_stdin(loop_factory: Callable[[], Any]) -> None:
    """The transport of stdin is, as far as `isinstance` tells, of the class that the loop's own write pipes have."""

    async def main() -> tuple[type, Any]:
        loop = asyncio.get_running_loop()
        reader, writer = os.pipe()
        own, _ = await loop.connect_write_pipe(asyncio.Protocol, os.fdopen(writer, "wb", 0))
        process = await asyncio.create_subprocess_exec("cat", stdin=subprocess.PIPE)
        assert process.stdin is not None
        stdin: Any = process.stdin.transport
        process.stdin.close()
        await process.wait()
        own.close()
        os.close(reader)
        return type(own), stdin

    asyncio.set_event_loop_policy(governess.DefaultEventLoopPolicy(loop_factory))
    own, stdin = asyncio.run(main())
    assert isinstance(stdin, own)
    assert isinstance(stdin, asyncio.WriteTransport)
    with pytest.raises(AttributeError):
        stdin.what_no_transport_has  # noqa: B018
