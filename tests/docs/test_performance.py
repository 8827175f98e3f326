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
    ("contestant", "low", "high"), [("governess", 0.5, 11), ("asyncio", 34, 125), ("uvloop", 160, 1100)]
)
def test_lag(contestant: str, low: float, high: float) -> None:
    """The loop is late by 1 to 10 ms, asyncio's by 35 to 120 ms, uvloop's by 170 ms to 1 s."""
    lag = found("lag")
    for case in lag.rounds:
        late = spread(lag.values(case, contestant, "p99"))
        assert late is not None
        assert low < late.median * 1e3 < high


@pytest.mark.parametrize(("case", "low", "high"), [("16 at once", 0.75, 0.85), ("1 at once", 0.9, 1.1)])
def test_run(case: str, low: float, high: float) -> None:
    """`run` takes 0.8 of asyncio's time when 16 run at once, and as long when one runs at a time."""
    ratio = compare(found("runs"), "seconds", (case, "governess"), (case, "asyncio"))
    assert ratio is not None
    assert low < ratio.median < high


@pytest.mark.parametrize(("other", "low", "high"), [("xargs", 0.9, 1.15), ("GNU parallel", 0.2, 0.27)])
def test_commands(other: str, low: float, high: float) -> None:
    """`governess run` takes the time of xargs, and a quarter of GNU parallel's."""
    commands = found("commands")
    for case in commands.rounds:
        ratio = compare(commands, "seconds", (case, "governess run"), (case, other))
        assert ratio is not None
        assert low < ratio.median < high
