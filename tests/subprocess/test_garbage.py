"""What becomes of a child whose plain loop, which tells nobody of its end, is closed and forgotten."""

import asyncio
import gc
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest

import governess
from governess.children.child import children
from governess.subprocess import PIPE, create_subprocess_exec


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
