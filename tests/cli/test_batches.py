"""Several arguments for one command."""

import pytest

from governess.cli.run.inputs import Batching, Fill, SourceError

pytestmark = pytest.mark.windows

ROWS = [(str(number),) for number in range(1, 11)]


def batches(batching: Batching, used: int = 0, times: int = 1) -> list[str]:
    return [" ".join(batch) for batch in batching.batches(ROWS, used, times)]


def test_number() -> None:
    """-n gives each command as many as it says, and the last one the rest."""
    batching = Batching(size=4)

    assert batches(batching) == ["1 2 3 4", "5 6 7 8", "9 10"]
    assert batching.size_of(len(ROWS)) == 3


def test_none() -> None:
    """-n0 gives none, for each argument."""
    assert batches(Batching(size=0)) == [""] * 10


def test_one_each() -> None:
    """By default each command has one."""
    assert batches(Batching()) == [str(number) for number in range(1, 11)]
    assert Batching().size_of(10) == 10


@pytest.mark.parametrize(
    ("shares", "expected"),
    [(1, ["1 2 3 4 5 6 7 8 9 10"]), (4, ["1 2 3", "4 5 6", "7 8 9", "10"]), (20, [str(n) for n in range(1, 11)])],
)
def test_as_many_as_fit(shares: int, expected: list[str]) -> None:
    """-X fills commands, and spreads what is left over the slots."""
    assert expected == batches(Batching(fills=True, shares=shares, fill=Fill.REPEAT))


def test_longest() -> None:
    """-s limits the length of a command, with the words around each argument."""
    assert batches(Batching(fills=True, longest=20), used=5) == ["1 2 3", "4 5 6", "7 8 9", "10"]
    assert batches(Batching(fills=True, longest=20), used=5, times=2) == [str(n) for n in range(1, 11)]
    assert batches(Batching(size=2, longest=20), used=5) == ["1 2", "3 4", "5 6", "7 8", "9 10"]


def test_too_long() -> None:
    """An argument that does not fit into any command is told."""
    with pytest.raises(SourceError, match=r"an argument of 2 characters does not fit into 8 \(see -s\)"):
        batches(Batching(fills=True, longest=8), used=4)
