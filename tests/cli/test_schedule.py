"""Which job comes next, without any process."""

import pytest

from governess.cli.run.schedule import Halt, InOrder, Schedule

pytestmark = pytest.mark.windows


def test_all_jobs_once() -> None:
    """Every job is handed out once, numbered from 1, and then none."""
    schedule = Schedule("ab", 2)

    assert [schedule.take() for _ in range(3)] == [(1, "a"), (2, "b"), None]


@pytest.mark.parametrize(
    ("halt", "next_job", "ends_others"),
    [(Halt.NEVER, (2, "b"), False), (Halt.SOON, None, False), (Halt.NOW, None, True)],
)
def test_halt(halt: Halt, next_job: tuple[int, str] | None, ends_others: bool) -> None:
    """A failure stops nothing, the jobs that wait, or those that run too."""
    schedule = Schedule("abc", 3, halt)
    schedule.take()

    assert ends_others == schedule.finish(failed=True)
    assert next_job == schedule.take()


@pytest.mark.parametrize("halt", Halt)
def test_success_never_halts(halt: Halt) -> None:
    """A job that ends well stops nothing in any mode."""
    schedule = Schedule("ab", 2, halt)
    schedule.take()

    assert not schedule.finish(failed=False)
    assert schedule.take() == (2, "b")


def test_counts() -> None:
    """The counts of started, finished, failed and never started jobs add up."""
    schedule = Schedule("abcd", 4)
    schedule.take(), schedule.take(), schedule.take()
    schedule.finish(failed=True)
    schedule.finish(failed=False)
    schedule.stop()

    assert schedule.take() is None
    assert (schedule.started, schedule.finished, schedule.failed, schedule.not_started) == (3, 2, 1, 1)


def test_order() -> None:
    """Values come out by their numbers, each as soon as those before it are there."""
    order: InOrder[str] = InOrder()

    assert list(order.add(3, "c")) == []
    assert list(order.add(1, "a")) == ["a"]
    assert list(order.add(2, "b")) == ["b", "c"]
    assert order.is_next(4)
