"""What the performance page says in its first sentences is what was measured."""

import json
from pathlib import Path

import pytest
from benchmarks.model import Found
from benchmarks.spread import compare, spread

KEPT = Path(__file__).parents[2] / "docs" / "performance"


def found(question: str) -> Found:
    return Found(**json.loads((KEPT / f"{question}.json").read_text()))


@pytest.mark.parametrize(
    ("contestant", "low", "high"),
    [("governess", 0.5, 12.5), ("governess + uvloop", 0.5, 12.5), ("asyncio", 40, 50), ("uvloop", 140, 1100)],
)
def test_lag(contestant: str, low: float, high: float) -> None:
    """The loop is late by 1 to 12 ms, asyncio's by 40 to 50 ms, uvloop's by 145 ms to 1 s."""
    lag = found("lag")
    for case in lag.rounds:
        late = spread(lag.values(case, contestant, "p99"))
        assert late is not None
        assert low < late.median * 1e3 < high


@pytest.mark.parametrize(("case", "low", "high"), [("16 at once", 0.65, 0.75), ("1 at once", 1.2, 1.35)])
def test_run(case: str, low: float, high: float) -> None:
    """`run` takes 0.7 of asyncio's time when 16 run at once, and 1.3 of it when one runs at a time."""
    ratio = compare(found("runs"), "seconds", (case, "governess"), (case, "asyncio"))
    assert ratio is not None
    assert low < ratio.median < high


@pytest.mark.parametrize(("other", "low", "high"), [("xargs", 1.05, 1.15), ("GNU parallel", 0.17, 0.23)])
def test_commands(other: str, low: float, high: float) -> None:
    """`governess run` takes 1.1 of the time of xargs, and a fifth of GNU parallel's."""
    commands = found("commands")
    for case in commands.rounds:
        ratio = compare(commands, "seconds", (case, "governess run"), (case, other))
        assert ratio is not None
        assert low < ratio.median < high
