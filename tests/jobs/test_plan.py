"""Which job comes next, without any process."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governess.jobs import Job, Plan, PlanError
from governess.jobs._schedule import Entry, Schedule


def job(name: str, *after: str) -> Job:
    return Job(("true",), name, after=after)


def names(entries: list[Entry]) -> list[str]:
    return [entry.job.name for entry in entries]


def taken(schedule: Schedule, now: float = 0.0) -> list[Entry]:
    found = []
    while (entry := schedule.take(now)) is not None:
        found.append(entry)
    return found


@pytest.mark.parametrize(
    ("jobs", "message"),
    [
        ([job("a"), job("a")], "two jobs are called 'a'"),
        ([job("fetch"), job("b", "fech")], "b waits for 'fech', and no job is called so .did you mean 'fetch'."),
        ([job("a", "c"), job("b", "a"), job("c", "b"), job("d")], "in a circle, so none can start: .* → .* → "),
        ([job("a", "a")], "a → a"),
    ],
)
def test_a_plan_that_cannot_be_run(jobs: list[Job], message: str) -> None:
    """Two jobs of one name, an unknown name and a circle are refused before anything starts, and named."""
    with pytest.raises(PlanError, match=message):
        Plan(jobs)


def test_the_circle_is_told_in_order() -> None:
    """In a circle each job waits for the one that stands after it."""
    with pytest.raises(PlanError) as caught:
        Plan([job("a", "c"), job("b", "a"), job("c", "b"), job("d", "c")])
    circle = str(caught.value).rpartition(": ")[2].split(" → ")
    assert circle[0] == circle[-1]
    assert all(pair in (("a", "c"), ("b", "a"), ("c", "b")) for pair in pairwise(circle))
    assert len(circle) == 4


def test_select() -> None:
    """Some jobs can be chosen by name, with all that they wait for; a name also stands for what `each` made of it."""
    plan = Plan([job("a"), job("b", "a"), job("c[1]", "b"), job("c[2]"), job("d", "c[1]")])
    assert [each.name for each in plan.select(["c"])] == ["a", "b", "c[1]", "c[2]"]
    with pytest.raises(PlanError, match="no job is called 'e'"):
        plan.select(["e"])


def test_a_stream_is_taken_one_by_one() -> None:
    """Jobs without an order are made when they are needed, and numbered from 1."""
    made = []

    def stream() -> object:
        for number in range(3):
            made.append(number)
            yield job(str(number))

    schedule = Schedule(Plan(stream()))  # type: ignore[arg-type]
    first = schedule.take(0)
    assert first is not None
    assert (first.number, made) == (1, [0])
    assert not schedule.is_over
    assert names(taken(schedule)) == ["1", "2"]
    assert not schedule.is_over
    for number in range(3):
        schedule.settle(Entry(number + 1, job("")), True)
    assert schedule.is_over


def test_a_diamond() -> None:
    """A job starts when all before it have succeeded; the longest path goes first."""
    schedule = Schedule(Plan([job("short"), job("a"), job("b", "a"), job("c", "a"), job("d", "b", "c")]))
    first = taken(schedule)
    assert names(first) == ["a", "short"]
    schedule.settle(first[0], True)
    middle = taken(schedule)
    assert names(middle) == ["b", "c"]
    schedule.settle(middle[0], True)
    assert taken(schedule) == []
    schedule.settle(middle[1], True)
    assert names(taken(schedule)) == ["d"]


def test_known_durations_decide_the_order() -> None:
    """Among jobs that are ready the longest known remaining path is first."""
    plan = Plan([job("a"), job("b"), job("c", "a")])
    entries = [Entry(number, each) for number, each in enumerate(plan, 1)]
    entries[1].duration = 100.0
    assert names(taken(Schedule(plan, entries))) == ["b", "a"]


def test_a_branch_that_fails() -> None:
    """What waits for a job that failed never runs, directly or not; the rest does."""
    schedule = Schedule(Plan([job("a"), job("b"), job("c", "a"), job("d", "c", "b"), job("e", "b")]))
    a, b = sorted(taken(schedule), key=lambda entry: entry.job.name)
    assert names(schedule.settle(a, False)) == ["c", "d"]
    assert schedule.settle(b, True) == []
    assert names(taken(schedule)) == ["e"]


def test_what_an_earlier_run_has_done() -> None:
    """Jobs that have ended before hold nobody back, or skip what waits for them."""
    plan = Plan([job("a"), job("b"), job("c", "a"), job("d", "b"), job("e", "d")])
    entries = [Entry(number, each) for number, each in enumerate(plan, 1)][2:]
    schedule = Schedule(plan, entries, {1: True, 2: False})
    assert names(taken(schedule)) == ["c"]
    assert names(schedule.skipped) == ["d", "e"]


def test_a_retry_waits_for_its_time() -> None:
    """A job that is tried again is taken when its time has come, and the run is not over before."""
    schedule = Schedule(Plan([job("a")]))
    (entry,) = taken(schedule)
    schedule.retry(entry, 5.0)
    assert (schedule.next_time(), schedule.is_over) == (5.0, False)
    assert taken(schedule, 4.9) == []
    assert taken(schedule, 5.0) == [entry]


def test_small_jobs_pass_a_large_one_for_a_while() -> None:
    """A job for which nothing is free is passed over by others, but not for ever."""
    schedule = Schedule(Plan([job("large"), *(job(f"small{number}") for number in range(500))]))
    started = 0
    while schedule.take(0, lambda entry: entry.job.name != "large") is not None:
        started += 1
    assert 50 < started < 200
    following = schedule.take(0, lambda entry: True)
    assert following is not None
    assert following.job.name == "large"


@given(st.data())
def test_every_order_is_kept(data: st.DataObject) -> None:
    """Whatever the order and the failures, each job is taken once after those before it, or is skipped."""
    count = data.draw(st.integers(1, 12))
    after = [data.draw(st.sets(st.integers(0, number - 1))) if number else set() for number in range(count)]
    jobs = [job(str(number), *map(str, sorted(after[number]))) for number in range(count)]
    schedule = Schedule(Plan(jobs))
    running: list[Entry] = []
    ended: dict[str, bool] = {}
    skipped: set[str] = set()
    while not schedule.is_over:
        running += taken(schedule)
        entry = running.pop(data.draw(st.integers(0, len(running) - 1)))
        assert all(ended.get(name) for name in entry.job.after)
        ended[entry.job.name] = data.draw(st.booleans())
        never = names(schedule.settle(entry, ended[entry.job.name]))
        assert not skipped & set(never)
        skipped |= set(never)
    assert ended.keys() | skipped == {str(number) for number in range(count)}
    assert not ended.keys() & skipped
