"""The picture of the front page: how late the loop is while 64 programs start at a time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from benchmarks.chart import Scale, draw_case
from benchmarks.model import Found, Measure
from benchmarks.spread import spread

__all__ = ["draw_front"]

CASE = "64 at once, 1 GB in the parent"
CONTESTANTS = ("governess", "governess + uvloop", "trio", "thread pool", "asyncio", "uvloop")
TITLE = "How late the event loop is"
MEASURE = Measure("p99", "ms, while 64 programs start", scale=1e3)


def draw_front(results: Mapping[str, Found], path: Path) -> None:
    """Draw it, if the question `lag` has been asked in full."""
    found = results.get("lag")
    if found is None or CASE not in found.rounds:
        return
    spreads = {name: spread(found.values(CASE, name, MEASURE.name)) for name in CONTESTANTS}
    measured = {name: each for name, each in spreads.items() if each}
    highest = max(each.high for each in measured.values()) * MEASURE.scale
    path.write_text(draw_case(TITLE, measured, MEASURE, Scale(0, highest, False)))
