"""The loops of a policy are as fast as stock ones: made of a derived class, not converted."""

import asyncio
import sys
from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Any

import pytest

import governess
from governess import (
    ContextEventLoopPolicy,
    DefaultEventLoopPolicy,
    LimitedEventLoopPolicy,
    PriorityEventLoopPolicy,
    SharedEventLoopPolicy,
    ThreadedEventLoopPolicy,
)
from governess.loops import LimitedLoop, PrioritizedLoop, ThreadedLoop

POLICIES: list[type[DefaultEventLoopPolicy]] = [
    ContextEventLoopPolicy,
    DefaultEventLoopPolicy,
    LimitedEventLoopPolicy,
    PriorityEventLoopPolicy,
    SharedEventLoopPolicy,
    ThreadedEventLoopPolicy,
]
KINDS = {
    LimitedEventLoopPolicy: LimitedLoop,
    PriorityEventLoopPolicy: PrioritizedLoop,
    ThreadedEventLoopPolicy: ThreadedLoop,
}


def counting_class(loop_class: type[Any]) -> type[Any]:
    """Return a subclass of the loop class that lists the classes of which its loops are made."""

    class Loop(loop_class):
        made: list[type[Any]] = []  # noqa: RUF012

        def __init__(self) -> None:
            self.made.append(type(self))
            super().__init__()

    return Loop


@pytest.mark.parametrize("policy_class", POLICIES)
def test_class_is_derived(policy_class: type[DefaultEventLoopPolicy], loop_factory: type[AbstractEventLoop]) -> None:
    """Of a factory that is a class, a policy makes its loops of the derived class, and assigns no `__class__`."""
    loop_class = counting_class(loop_factory)
    with policy_class(loop_class) as policy:
        loop = policy.new_event_loop()
        assert loop_class.made == [type(loop)]
        assert isinstance(loop, KINDS.get(policy_class, loop_class))
        if isinstance(policy, SharedEventLoopPolicy):
            shared: Any = policy.get_event_loop()
            assert loop_class.made[1:] == [type(shared)]
            assert isinstance(shared, ThreadedLoop)


@pytest.mark.parametrize("policy_class", POLICIES)
def test_other_factories(policy_class: type[DefaultEventLoopPolicy], loop_factory: Callable[[], Any]) -> None:
    """The loop of any other factory is converted."""
    with policy_class(lambda: loop_factory()) as policy:
        assert isinstance(policy.new_event_loop(), KINDS.get(policy_class, AbstractEventLoop))


def test_named_loop() -> None:
    """The loop of a name is made of the derived class too."""
    with governess.Runner(loop_factory="asyncio") as runner:
        loop = runner.get_loop()
    kind = asyncio.SelectorEventLoop if sys.platform != "win32" else asyncio.ProactorEventLoop
    assert isinstance(loop, kind)
    assert sys.platform == "win32" or type(loop) is governess.SelectorEventLoop


def test_overridden_new_event_loop(loop_factory: type[AbstractEventLoop]) -> None:
    """A subclass that makes the loops itself makes the shared one as well."""

    class Policy(SharedEventLoopPolicy):
        def new_event_loop(self) -> AbstractEventLoop:
            made.append(super().new_event_loop())
            return made[-1]

    made: list[AbstractEventLoop] = []
    with Policy(loop_factory) as policy:
        assert policy.get_event_loop() in made
