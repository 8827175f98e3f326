"""What becomes of a child whose plain loop, which tells nobody of its end, is closed and forgotten."""

import asyncio
import contextlib
import gc
import signal
import threading
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import governess
from governess.children import children
from governess.subprocess import PIPE, create_subprocess_exec
from governess.watchers import choose_watcher
from settings import WATCHERS


@pytest.mark.parametrize("options", [{}, {"stdout": PIPE}], ids=["no pipe", "a pipe"])
def test_child_goes_with_its_loop(loop_factory: Callable[[], Any], options: dict[str, Any]) -> None:
    """As with asyncio, a child that nobody has waited for is killed when its loop is garbage; and it is reaped."""

    async def main() -> None:
        await create_subprocess_exec("sleep", "60", **options)

    def run_and_forget() -> None:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(main())
        del runner
        gc.collect()

    ends, dead = [], threading.Event()
    with governess.observe(on_exit=lambda child, exit: (ends.append(exit), dead.set())):
        with pytest.warns(ResourceWarning, match="unclosed"):
            run_and_forget()
        assert dead.wait(10)
    assert ends == [-signal.SIGKILL]
    assert not children()


def test_warning_that_is_an_error(loop_factory: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The child is killed also where the warning of an unclosed transport is an exception, which nobody can catch."""
    told: list[Any] = []
    monkeypatch.setattr("sys.unraisablehook", lambda what: told.append(what.exc_type))

    async def main() -> None:
        await create_subprocess_exec("sleep", "60")

    def run_and_forget() -> None:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(main())

    ends, dead = [], threading.Event()
    with governess.observe(on_exit=lambda child, exit: (ends.append(exit), dead.set())), warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        run_and_forget()
        gc.collect()
        assert dead.wait(10)
    assert ends == [-signal.SIGKILL]
    assert told == [ResourceWarning]


def test_child_that_was_let_go_lives_on(loop_factory: Callable[[], Any]) -> None:
    """A detached child outlives its loop, and is reaped at its end."""

    async def main() -> Any:
        process = await create_subprocess_exec("sh", "-c", "read line; exit 7", stdin=PIPE)
        child = process._child
        process.detach()
        return child

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        child = runner.run(main())
    del runner
    gc.collect()
    ended = threading.Event()
    child.subscribe(lambda child, exit: ended.set())
    assert ended.wait(10)
    assert child.exit == 7


@pytest.fixture(params=["a policy's", "watched", "plain"])
def new_loop(request: pytest.FixtureRequest, loop_factory: Callable[[], Any]) -> Callable[[], Any]:
    """Each kind of loop: those that tell when they are closed, and one that does not."""
    if request.param == "plain":
        return loop_factory
    if request.param == "watched":
        return governess.watched(loop_factory)
    return governess.DefaultEventLoopPolicy(loop_factory).new_event_loop


@pytest.mark.parametrize("count", [10, pytest.param(1000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("end", ["closed", "closed with an exit untold"])
@pytest.mark.parametrize("name", WATCHERS)
def test_loops_are_garbage(name: str, new_loop: Callable[[], Any], end: str, count: int) -> None:
    """A loop that has started a child is garbage once it is closed and nobody uses it, whichever watcher it had."""

    async def main() -> None:
        process = await create_subprocess_exec("true", stdout=PIPE)
        if end == "closed":
            await process.communicate()
            return
        # The watcher notices the exit in the loop's last turn, and the loop stops before it tells.
        asyncio.get_running_loop().stop()
        process._child.wait_for_exit()
        process._child.reap()

    loops = []
    with (
        contextlib.closing(choose_watcher(name).factory()) as watcher,
        governess.DefaultEventLoopPolicy(watcher=watcher) as policy,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", ResourceWarning)  # that a transport was not closed: it was not
        governess.set_event_loop_policy(policy)
        try:
            for _ in range(count):
                loops.append(weakref.ref(loop := new_loop()))
                with contextlib.suppress(RuntimeError):  # stopped before the end
                    loop.run_until_complete(main())
                for task in asyncio.all_tasks(loop):
                    task.cancel()
                    loop.run_until_complete(asyncio.wait([task]))
                loop.close()
                del loop
        finally:
            governess.set_event_loop_policy(None)
        # A thread that tells a loop of an exit references that loop until it has done so.
        for thread in threading.enumerate():
            if thread.name.startswith("governess-waitpid-"):
                thread.join(30)
        gc.collect()
        alive = [loop() for loop in loops if loop() is not None]
    # Safe and Fast stay attached to the last one, as asyncio's.
    assert len(alive) <= 1, len(alive)
