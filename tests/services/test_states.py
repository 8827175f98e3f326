"""The table of states and the rules of restarts, without any process."""

import contextlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governess.services._restarts import BACKOFF, Deaths, Restart
from governess.services._states import Event, State, TransitionError, next_state


def reachable(start: State, *without: Event) -> set[State]:
    """The states to which events lead, but for some events."""
    reached = {start}
    while True:
        more = set(reached)
        for state in reached:
            for event in set(Event) - set(without):
                with contextlib.suppress(TransitionError):
                    more.add(next_state(state, event))
        if more == reached:
            return reached
        reached = more


@given(st.lists(st.sampled_from(Event)))
def test_whatever_happens(events: list[Event]) -> None:
    """A process is started once, and is gone before the next one is started, in whatever order events come."""
    state, processes = State.WAITING, 0
    for event in events:
        before = state
        try:
            state = next_state(state, event)
        except TransitionError:
            continue
        processes += event is Event.LAUNCH
        processes -= before.is_alive and not state.is_alive
        assert processes == state.is_alive
        if before is State.STOPPING:
            assert not state.is_alive


@pytest.mark.parametrize("state", State)
def test_a_command_stops_it_in_every_state(state: State) -> None:
    """From each state that is not stopped, an end or a stop is allowed, and leads to `stopped`."""
    if state is State.STOPPED:
        return
    path = [Event.STOP] if not state.is_alive else [Event.STOP] if state is State.STOPPING else [Event.END, Event.STOP]
    for event in path:
        state = next_state(state, event)
    assert state is State.STOPPED


@pytest.mark.parametrize("state", State)
def test_every_state_can_be_reached(state: State) -> None:
    """From a copy that waits, events lead to each state; and from there back."""
    assert state in reachable(State.WAITING)
    assert State.WAITING in reachable(state)


@pytest.mark.parametrize("state", [State.STOPPED, State.FAILED, State.DONE])
def test_what_rests_starts_by_a_command_alone(state: State) -> None:
    """Without a command, which makes it wait, a copy that rests is never started."""
    assert state.is_resting
    assert not any(each.is_alive for each in reachable(state, Event.WAIT))


def test_an_error_says_what_is_wrong() -> None:
    """The error names the state and the event."""
    with pytest.raises(TransitionError, match="a service that is stopped cannot prepare"):
        next_state(State.STOPPED, Event.PREPARE)


@given(st.lists(st.floats(0, 1000), min_size=1, max_size=50), st.randoms(use_true_random=False))
def test_pauses_double_until_it_is_stable(lives: list[float], rng: random.Random) -> None:
    """Each pause is 0.1 s · 2ⁿ⁻¹ ± 20 %, 60 s at most; n counts deaths since a life longer than 10 s and the pause."""
    deaths, expected, pause = Deaths(rng), 0, 0.0
    for life in lives:
        expected = 1 if life >= max(10, pause) else expected + 1
        pause = deaths.add(life)
        assert deaths.in_row == expected
        middle = min(60, 0.1 * 2 ** (expected - 1))
        assert middle * 0.8 <= pause <= middle * 1.2


def test_a_slow_crash_loop_is_slowed_down() -> None:
    """A program that always dies after 15 s is stable each time; one that dies after 1.2 s waits longer and longer."""
    slow, fast = Deaths(), Deaths()

    assert max(slow.add(15) for _ in range(20)) <= 0.12
    assert 60 * 0.8 <= [fast.add(1.2) for _ in range(20)][-1] <= 60 * 1.2


def test_at_most_ten_starts_in_half_a_minute() -> None:
    """A program that exits at once is started ten times in 30 s at most, however the pauses fall."""
    assert sum(BACKOFF.base * 2**n * (1 - BACKOFF.JITTER) for n in range(9)) > 30


@pytest.mark.parametrize("limit", [1, 3, None])
def test_the_limit(limit: int | None) -> None:
    """It is given up after as many deaths in a row as the limit says, and never without one."""
    deaths, count = Deaths(), 0
    while not deaths.are_too_many(limit) and count < 100:
        deaths.add(0)
        count += 1
    assert count == (limit or 100)


@pytest.mark.parametrize(
    ("restart", "after"), [("always", [0, 1, -9]), ("on-failure", [1, -9]), ("never", [])], ids=lambda word: str(word)
)
def test_which_ends_are_followed_by_a_start(restart: str, after: list[int]) -> None:
    """`always` means every end, `on-failure` every status but 0, `never` none."""
    assert [code for code in (0, 1, -9) if Restart(restart).applies(code)] == after
