"""The pauses between the tries of a program that fails; without I/O."""

from __future__ import annotations

import random
from dataclasses import dataclass

from governess._programs.units import parse_seconds

__all__ = ["Backoff"]


@dataclass(frozen=True, slots=True)
class Backoff:
    """The pauses between the tries of a program: twice as long each time, up to a limit, each ± 20 %.

    Attributes:
        base: seconds before the second try.
        cap: the longest pause in seconds, before the 20 % are added or taken away.
    """

    base: float = 0.0
    cap: float = 60.0

    JITTER = 0.2

    def __post_init__(self) -> None:
        if not 0 <= self.base <= self.cap:
            raise ValueError(f"a back-off begins with 0 or more seconds and does not fall: {self.base:g}..{self.cap:g}")

    @classmethod
    def parse(cls, text: str) -> Backoff:
        """Return the back-off that is written as `1s..60s`, or as `5s` for pauses that stay the same.

        Raises:
            ValueError: it is written otherwise; the text says how.
        """
        first, dots, last = text.partition("..")
        try:
            base = parse_seconds(first)
            return cls(base, parse_seconds(last) if dots else base)
        except ValueError as error:
            raise ValueError(f"{text!r} is no back-off such as 1s..60s or 5s: {error}") from None

    def pause(self, tries: int, rng: random.Random | None = None) -> float:
        """Return how many seconds to wait after `tries` tries, the last of which has failed."""
        exponent = min(tries - 1, 1000)
        pause = min(self.cap, self.base * 2.0**exponent) if self.base else 0.0
        return pause * (1 + self.JITTER * (2 * (rng or random).random() - 1))

    @property
    def longest(self) -> float:
        """The longest pause in seconds."""
        return self.cap * (1 + self.JITTER)
