"""The figures that governess wants to reach, and whether it does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from benchmarks.model import Found
from benchmarks.spread import Spread, compare, spread
from benchmarks.tables import ratio

__all__ = ["figures_table", "judge", "ratios_table"]

OURS = ("governess", "governess + uvloop")
FULL_CROWD, SMALL_CROWD = "10,000 living", "100 living"


class Figure(NamedTuple):
    """One figure to reach.

    Attributes:
        text: what is measured, for people.
        limit: what the median may not pass.
        at_most: whether the limit is the highest or the lowest.
        found: what was measured; None if it was not.
    """

    text: str
    limit: float
    at_most: bool
    found: Spread | None

    @property
    def verdict(self) -> str:
        """Say whether it is reached."""
        if self.found is None:
            return "not measured"
        reached = self.found.median <= self.limit if self.at_most else self.found.median >= self.limit
        return "reached" if reached else "missed"


def judge(results: Mapping[str, Found]) -> list[Figure]:
    """Return every figure whose question has been asked."""
    return [
        figure for name, list_figures in _LISTS.items() if name in results for figure in list_figures(results[name])
    ]


def figures_table(figures: list[Figure]) -> list[list[str]]:
    """Return a table of figures; the first row is the heading."""
    rows = [[each.text, _limit(each), ratio(each.found), each.verdict] for each in figures]
    return [["", "needed", "found", ""], *rows]


def ratios_table(figures: list[Figure]) -> list[list[str]]:
    """Return the same for readers: what was found, without what is wanted."""
    return [["", "found"], *([each.text, ratio(each.found)] for each in figures if each.found)]


def _limit(figure: Figure) -> str:
    return f"{'≤' if figure.at_most else '≥'} {figure.limit:.3g}"


def _lag(found: Found) -> Iterator[Figure]:
    small, big = "64 at once, 0 GB in the parent", "64 at once, 4 GB in the parent"
    for ours in OURS:
        for other, limit in (("asyncio", 1 / 10), ("uvloop", 1 / 30)):
            of = compare(found, "p99", (small, ours), (small, other))
            yield Figure(f"lag (99 %) with 64 at once: {ours} / {other}", limit, True, of)
    for ours in OURS:
        of = compare(found, "p99", (big, ours), (small, ours))
        yield Figure(f"lag (99 %) with 4 GB / with 0 GB: {ours}", _noise(found, small, ours), True, of)


def _noise(found: Found, case: str, contestant: str) -> float:
    """Return how far above the median the worst round lies: what is below that is noise."""
    lags = spread(found.values(case, contestant, "p99"))
    return 1.1 if lags is None else max(1.1, lags.high / lags.median)


def _slow_exec(found: Found) -> Iterator[Figure]:
    for case in found.rounds:
        for ours in OURS:
            worst = spread(lag * 1e3 for lag in found.values(case, ours, "max"))
            yield Figure(f"worst lag with a slow exec, ms: {ours}", 10, True, worst)


def _rate(found: Found) -> Iterator[Figure]:
    for case in ("16 at once", "64 at once"):
        for ours in OURS:
            for other, limit in (("asyncio", 1.15), ("uvloop", 5)):
                of = compare(found, "per_second", (case, ours), (case, other))
                yield Figure(f"children a second, {case}: {ours} / {other}", limit, False, of)
            of = compare(found, "per_second", (case, "C, 2 threads"), (case, ours))
            yield Figure(f"time a child, {case}: {ours} / C, 2 threads", 1.25, True, of)


def _runs(found: Found) -> Iterator[Figure]:
    for ours in OURS:
        of = compare(found, "cpu", ("16 at once", ours), ("16 at once", "asyncio"))
        yield Figure(f"run(), 16 at once: CPU: {ours} / asyncio", 0.7, True, of)
        of = compare(found, "seconds", ("1 at once", ours), ("1 at once", "asyncio"))
        yield Figure(f"run(), one at a time: time: {ours} / asyncio", 1.0, True, of)
    for other in ("asyncio", "thread pool", "trio", "anyio"):
        of = compare(found, "seconds", ("16 at once", "governess"), ("16 at once", other))
        yield Figure(f"run(), 16 at once: time: governess / {other}", 0.7, True, of)
    of = compare(found, "seconds", ("16 at once", "governess's pool"), ("16 at once", "governess"))
    yield Figure("16 at once: time: governess's pool / run()", 1.05, True, of)


def _crowd(found: Found) -> Iterator[Figure]:
    ours, theirs = "governess + pidfd", "asyncio + pidfd"
    for measure, text in (("cpu_of_one", "CPU of one exit"), ("latency", "until one exit is seen")):
        of = compare(found, measure, (FULL_CROWD, ours), (SMALL_CROWD, ours))
        yield Figure(f"{text}, 10,000 living / 100 living: {ours}", 1.3, True, of)
    for measure, text, limit in (("memory", "memory a child", 0.8), ("cpu_of_all", "CPU when all exit", 0.7)):
        of = compare(found, measure, (FULL_CROWD, ours), (FULL_CROWD, theirs))
        yield Figure(f"{text}, 10,000 living: {ours} / {theirs}", limit, True, of)


def _pipes(found: Found) -> Iterator[Figure]:
    for case in found.rounds:
        for ours in OURS:
            of = compare(found, "bytes", (case, ours), (case, "asyncio"))
            yield Figure(f"bytes a second {case}: {ours} / asyncio", 0.95, False, of)


def _commands(found: Found) -> Iterator[Figure]:
    for case in found.rounds:
        for ours, limit in (
            ("governess run", 1.1),
            ("governess run on uvloop", 1.1),
            ("governess run with a journal", 1.5),
        ):
            of = compare(found, "seconds", (case, "GNU parallel"), (case, ours))
            yield Figure(f"{case}: GNU parallel / {ours}", 4, False, of)
            of = compare(found, "seconds", (case, ours), (case, "xargs"))
            yield Figure(f"{case}: {ours} / xargs", limit, True, of)


def _imports(found: Found) -> Iterator[Figure]:
    for case in found.rounds:
        for ours in ("governess", "governess.run"):
            of = compare(found, "seconds", (case, ours), (case, "asyncio"))
            yield Figure(f"import: {ours} / asyncio", 1.15, True, of)


def _policies(found: Found) -> Iterator[Figure]:
    wanted = (
        ("default", "sleep", "a step of a task", 1.08),
        ("default", "run", "run of an empty coroutine", 1.1),
        ("priority", "call_later", "call_later", 1.3),
        ("priority", "call_soon_threadsafe", "call_soon_threadsafe", 1.3),
        ("limited", "create_task", "create_task", 1.5),
        ("shared", "call", "call from another thread", 1.0),
    )
    for case in found.rounds:
        for policy, measure, text, limit in wanted:
            of = compare(found, measure, (case, policy), (case, "stock"))
            yield Figure(f"{text} {case}: {policy} policy / stock", limit, True, of)


_LISTS: dict[str, Callable[[Found], Iterator[Figure]]] = {
    "lag": _lag,
    "slow_exec": _slow_exec,
    "rate": _rate,
    "runs": _runs,
    "crowd": _crowd,
    "pipes": _pipes,
    "commands": _commands,
    "imports": _imports,
    "policies": _policies,
}
