"""Whatever is given to a prioritized loop, and whenever, runs in the order that the rule says."""

from asyncio import AbstractEventLoop
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from governess import prioritized, priority
from governess.loops._priority import loop as loop_module

#: A step is worth so few callbacks here that waiting ones often move up.
AGING_STEP = 3

PRIORITIES = st.sampled_from([-20, -2, -1, 0, 0, 1, 2, 19])


@dataclass
class Call:
    """A callback, and the calls that it makes in its turn."""

    priority: int
    then: list["Call"]
    came: int = -1  # how many had run before it came
    cancelled: bool = False
    handle: Any = None

    def due(self) -> int:
        return self.came + AGING_STEP * self.priority


CALLS = st.recursive(
    st.builds(Call, PRIORITIES, st.just([])),
    lambda calls: st.builds(Call, PRIORITIES, st.lists(calls, max_size=3)),
    max_leaves=5,
)


class Order(RuleBasedStateMachine):
    """Gives callbacks to a loop, and looks at each that is called whether it was next."""

    handles = Bundle("handles")

    def __init__(self, loop: AbstractEventLoop) -> None:
        super().__init__()
        self.loop = loop
        self.waiting: list[Call] = []
        self.ran = 0
        self.mistakes: list[str] = []

    def give(self, call: Call, how: str = "call_soon") -> None:
        call = Call(call.priority, call.then)
        with priority(call.priority):
            call.handle = getattr(self.loop, how)(self.run, call)
        call.came = self.ran
        self.waiting.append(call)

    def run(self, call: Call) -> None:
        # The first of those with the least due: they stand in the order in which they came.
        following = min((it for it in self.waiting if not it.cancelled), key=lambda it: (it.due(), -it.priority))
        if call is not following:
            self.mistakes.append(f"{call} ran before {following}")
        overtaken = [it for it in self.waiting if it.came + AGING_STEP * (it.priority - call.priority) < call.came]
        if any(not it.cancelled for it in overtaken):
            self.mistakes.append(f"{call} should not have overtaken {overtaken}")
        self.waiting.remove(call)
        self.ran += 1
        for it in call.then:
            self.give(it)

    @rule(call=CALLS, how=st.sampled_from(["call_soon", "call_soon_threadsafe"]))
    def add(self, call: Call, how: str) -> None:
        self.give(call, how)

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        left = [it for it in self.waiting if not it.cancelled]
        if left:
            call = data.draw(st.sampled_from(left))
            call.handle.cancel()
            call.cancelled = True
            assert call.handle.cancelled()

    @rule(enabled=st.booleans())
    def debug(self, enabled: bool) -> None:
        self.loop.set_debug(enabled)

    @rule()
    def run_a_round(self) -> None:
        self.loop.stop()
        self.loop.run_forever()

    @rule()
    def run_all(self) -> None:
        for _ in range(200):
            if any(not it.cancelled for it in self.waiting):
                self.run_a_round()
        assert all(it.cancelled for it in self.waiting)
        self.waiting.clear()

    @invariant()
    def rule_is_kept(self) -> None:
        assert self.mistakes == []

    def teardown(self) -> None:
        self.run_all()
        self.loop.close()


@pytest.mark.parametrize("examples", [25, pytest.param(250, marks=pytest.mark.slow)])
def test_order(loop_factory: Callable[[], AbstractEventLoop], examples: int) -> None:
    """Who is due first runs first, nothing is lost, and nothing overtakes what has waited long enough."""
    with patch.object(loop_module, "AGING_STEP", AGING_STEP):
        run_state_machine_as_test(
            lambda: Order(prioritized(loop_factory)()), settings=settings(max_examples=examples, deadline=None)
        )
