"""What governess.subprocess does on Windows: programs run, end with what they have started, and the rest is refused."""

import asyncio
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

import governess
from governess.subprocess import PIPE, Limits, ProcessTimeout, cmd, run, start

pytestmark = [pytest.mark.windows, pytest.mark.skipif(sys.platform != "win32", reason="this holds on Windows")]

POLICIES = ["WindowsSelectorEventLoopPolicy", "WindowsProactorEventLoopPolicy"]

#: Starts another one that sleeps, tells its number, and waits for it.
TREE = (
    "import subprocess, sys; other = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); "
    "print(other.pid, flush=True); other.wait()"
)


@pytest.fixture(params=POLICIES)
def in_loop(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    """A function that runs a coroutine in a loop of that policy."""
    policy = getattr(governess, request.param)()

    def go(coroutine: Any) -> Any:
        with asyncio.Runner(loop_factory=policy.new_event_loop) as runner:
            return runner.run(asyncio.wait_for(coroutine, 60))

    return go


def lives(pid: int) -> bool:
    import _winapi

    try:
        handle = _winapi.OpenProcess(0x00100000, False, pid)  # SYNCHRONIZE
    except OSError:
        return False
    try:
        return _winapi.WaitForSingleObject(handle, 0) != 0
    finally:
        _winapi.CloseHandle(handle)


def test_run(in_loop: Callable) -> None:
    """A program reads its input, its outputs are captured, and its exit is known."""

    async def main() -> None:
        script = "import sys; print(input().upper()); print('err', file=sys.stderr); sys.exit(3)"
        done = await run(sys.executable, "-c", script, input="hi\n", encoding="utf-8")
        assert (done.exit, done.stdout.strip(), done.stderr.strip()) == (3, "HI", "err")

    in_loop(main())


def test_timeout_ends_the_tree(in_loop: Callable) -> None:
    """A timeout ends the program and what it has started, and keeps the output."""

    async def main() -> int:
        with pytest.raises(ProcessTimeout) as caught:
            await run(sys.executable, "-c", TREE, timeout=8)
        return int(caught.value.stdout)

    other = in_loop(main())
    deadline = time.monotonic() + 10
    while lives(other) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not lives(other)


def test_lines_of_a_started_program(in_loop: Callable) -> None:
    """A program that runs can be talked to, and is ended with its block."""

    async def main() -> None:
        script = "import sys\nfor line in sys.stdin: print(line.strip()[::-1], flush=True)"
        async with start(sys.executable, "-c", script, stdin=PIPE, stdout=PIPE) as process:
            lines = process.stdout.lines("ascii")
            process.stdin.write(b"abc\n")
            assert await anext(lines) == "cba"
            assert process.exit is None
        assert process.exit is not None

    in_loop(main())


@pytest.mark.parametrize(
    "options", [{"pty": True}, {"session": True}, {"limits": Limits(cpu=1)}, {"die_with_parent": True}]
)
def test_what_is_refused(options: dict[str, Any]) -> None:
    """What Windows does not have is refused before anything runs."""
    with pytest.raises(NotImplementedError, match="Windows"):
        asyncio.run(run("cmd", "/c", "exit", **options))


def test_usage_is_refused_at_the_call() -> None:
    """What needs /proc is refused by the call, not later in the loop."""

    async def main() -> None:
        async with start(sys.executable, "-c", "import time; time.sleep(60)") as process:
            with pytest.raises(NotImplementedError, match="/proc"):
                process.on_usage(print, memory=1)

    policy = governess.WindowsSelectorEventLoopPolicy()  # type: ignore[attr-defined]
    with asyncio.Runner(loop_factory=policy.new_event_loop) as runner:
        runner.run(main())


def test_pipeline_with_a_failure() -> None:
    """A pipeline ends when one of its programs fails."""
    policy = governess.WindowsSelectorEventLoopPolicy()  # type: ignore[attr-defined]
    wait = cmd(sys.executable, "-c", "import time; time.sleep(60)")
    fail = cmd(sys.executable, "-c", "raise SystemExit(4)")
    with asyncio.Runner(loop_factory=policy.new_event_loop) as runner:
        assert runner.run((wait | fail).run()).exit == 4
