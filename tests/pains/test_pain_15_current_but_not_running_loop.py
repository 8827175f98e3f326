"""Pain 15: "Current but not running" loop is gone.

Told in cpython#130322, cpython#93453, django/asgiref#488.
"""

import asyncio
import contextvars
from collections.abc import Callable
from typing import Any

from pains.verdict import DoesNotApply, Hurts

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def on_governess(loop_factory: LoopFactory) -> str:
    import governess

    with governess.ContextEventLoopPolicy(loop_factory) as policy:
        governess.set_event_loop_policy(policy)
        try:
            return contextvars.copy_context().run(told, governess)
        finally:
            governess.set_event_loop_policy(None)


def on_asyncio(loop_factory: LoopFactory) -> str:
    return contextvars.copy_context().run(told, asyncio, loop_factory)


def on_trio() -> str:
    import trio

    raise no_such_loop(trio)


def on_anyio() -> str:
    import anyio

    raise no_such_loop(anyio)


def told(library: Any, loop_factory: LoopFactory | None = None) -> str:
    """Make a loop the current one, let others run theirs, in a context of their own, and ask for ours."""
    loop = (loop_factory or library.new_event_loop)()
    library.set_event_loop(loop)
    try:
        for others in (asyncio, library):
            contextvars.copy_context().run(others.run, asyncio.sleep(0))
        return judge(loop, library.get_event_loop)
    finally:
        library.set_event_loop(None)
        loop.close()


def judge(loop: asyncio.AbstractEventLoop, get_event_loop: Callable[[], asyncio.AbstractEventLoop]) -> str:
    try:
        found = get_event_loop()
    except RuntimeError as error:
        raise Hurts(f"after run() of another loop: {error}") from None
    if found is not loop:
        raise Hurts("after run() of another loop, the current loop is another one")
    return "it is still the current loop after run() of another loop"


def no_such_loop(library: Any) -> DoesNotApply:
    assert not hasattr(library, "get_event_loop")
    return DoesNotApply("has no loop that does not run")


def test_pain_15_current_but_not_running_loop(relief: Callable[..., str]) -> None:
    """The current loop belongs to a scope, such as a context; loops that run elsewhere do not change it."""
    relief(on_governess)
