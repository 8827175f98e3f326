"""Median, minimum and maximum; and those of the ratio of two contestants, taken round by round."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from typing import NamedTuple

from benchmarks.model import Found

__all__ = ["Spread", "compare", "spread"]


class Spread(NamedTuple):
    """Where the rounds lie."""

    median: float
    low: float
    high: float


def spread(values: Iterable[float]) -> Spread | None:
    """Return the median, minimum and maximum; None of nothing."""
    values = list(values)
    return Spread(statistics.median(values), min(values), max(values)) if values else None


def compare(found: Found, measure: str, ours: tuple[str, str], base: tuple[str, str]) -> Spread | None:
    """Return the ratio of two (case, contestant), whose rounds ran side by side; None if one of them has none."""
    pairs = zip(found.values(*ours, measure), found.values(*base, measure), strict=False)
    return spread(one / other for one, other in pairs if other)
