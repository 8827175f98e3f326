"""The pauses between the tries of a program that fails; without I/O."""

from __future__ import annotations

import random
from dataclasses import dataclass

from governess._programs.units import parse_seconds

__all__ = ["Backoff"]


@dataclass(frozen=True, slots=True)
class Backoff:
    """The pauses between the tries of a program. Each pause is twice as long as the one before, up to a limit.

    A random change of up to ± 20 % is applied to each pause.

    Attributes:
        base: the first pause in seconds.
        cap: the longest pause in seconds, before the random change.
    """

    base: float = 0.0
    cap: float = 60.0

    JITTER = 0.2

    def __post_init__(self) -> None:
        if not 0 <= self.base <= self.cap:
            raise ValueError(f"a back-off begins with 0 or more seconds and does not fall: {self.base:g}..{self.cap:g}")

    @classmethod
    def parse(cls, text: str) -> Backoff:
        """Parse a back-off such as `1s..60s`, or `5s` for a constant pause.

        Raises:
            ValueError: `text` has another form; the text of the error shows the valid forms.
        """
        first, dots, last = text.partition("..")
        try:
            base = parse_seconds(first)
            return cls(base, parse_seconds(last) if dots else base)
        except ValueError as error:
            raise ValueError(f"{text!r} is no back-off such as 1s..60s or 5s: {error}") from None

    def pause(self, tries: int, rng: random.Random | None = None) -> float:
        """Return the pause in seconds after the failure of try number `tries`, from 1; `rng` varies the pause."""
        exponent = min(tries - 1, 1000)
        pause = min(self.cap, self.base * 2.0**exponent) if self.base else 0.0
        return pause * (1 + self.JITTER * (2 * (rng or random).random() - 1))

    @property
    def longest(self) -> float:
        """The longest pause in seconds."""
        return self.cap * (1 + self.JITTER)
