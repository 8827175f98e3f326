"""The table of states, without any job."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governess.jobs import State
from governess.jobs._states import FINAL, Event, Progress, TransitionError, next_state


@given(st.lists(st.sampled_from(Event)), st.integers(1, 5))
def test_whatever_happens(events: list[Event], max_tries: int) -> None:
    """No order of events starts a job more often than it has tries, nor gives it more tries back than it used."""
    progress = Progress()
    for event in events:
        before = progress
        try:
            progress = progress.after(event, max_tries)
        except TransitionError:
            assert progress == before
            continue
        assert 0 <= progress.tries <= max_tries + (before.state is State.WAITING)
        assert (progress.state is State.RUNNING) == (event is Event.START)
        if event is Event.RETRY:
            assert progress.tries < max_tries


@given(st.sampled_from(State), st.sampled_from(Event))
def test_only_a_reset_or_a_retry_leaves_a_final_state(state: State, event: Event) -> None:
    """What has ended stays so, unless it is tried again; a success is never undone."""
    try:
        after = next_state(state, event)
    except TransitionError:
        return
    if state in FINAL:
        assert event in (Event.RETRY, Event.RESET)
        assert after is State.WAITING
        assert state is not State.DONE
    if state is State.RUNNING:
        assert after is not State.WAITING


@pytest.mark.parametrize("state", State)
def test_every_state_can_be_reached(state: State) -> None:
    """From a job that waits, events lead to each state."""
    reached = {State.WAITING}
    while True:
        more = set(reached)
        for each in reached:
            for event in Event:
                with contextlib.suppress(TransitionError):
                    more.add(next_state(each, event))
        if more == reached:
            break
        reached = more
    assert state in reached


def test_an_interruption_costs_no_try() -> None:
    """A job whose run was killed has as many tries left as before."""
    progress = Progress().after(Event.START, 1).after(Event.INTERRUPT, 1).after(Event.RESUME, 1)

    assert progress == Progress(State.WAITING, 0)


def test_an_error_says_what_is_wrong() -> None:
    """The error names the state and the event."""
    with pytest.raises(TransitionError, match="a job that is done cannot start"):
        Progress(State.DONE, 1).after(Event.START, 1)
    with pytest.raises(TransitionError, match="a job with 2 tries has used 2, and cannot retry"):
        Progress(State.FAILED, 2).after(Event.RETRY, 2)
