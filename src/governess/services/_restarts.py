"""Whether a service that has ended is started again, and after which pause; without I/O."""

from __future__ import annotations

import random
from enum import StrEnum
from typing import Final

from governess._programs.backoff import Backoff

__all__ = ["BACKOFF", "Deaths", "Restart"]

BACKOFF: Final = Backoff(0.1, 60.0)
"""The pauses between the starts of a service."""
# Seconds for which it has to be ready at least until its deaths are forgotten.
_STABLE = 10.0


class Restart(StrEnum):
    """Whether a service that has ended by itself is started again.

    Attributes:
        ALWAYS: after every end (``always``).
        ON_FAILURE: after an exit status other than 0, and after a signal (``on-failure``).
        NEVER: after no end (``never``).
    """

    ALWAYS = "always"
    ON_FAILURE = "on-failure"
    NEVER = "never"

    def applies(self, code: int) -> bool:
        """Return whether it is started again after an exit status; a signal is a negative one."""
        return self is Restart.ALWAYS or (self is Restart.ON_FAILURE and code != 0)


class Deaths:
    """The deaths of a copy of a service in a row, that is since it was last stable.

    It was stable if it was ready for 10 seconds, or for as long as the last pause if that was longer. So a program that
    dies some time after each start is not started again and again without a pause.

    Attributes:
        in_row: how many there were.
    """

    def __init__(self, rng: random.Random | None = None) -> None:
        """Begin without a death."""
        self.in_row = 0
        self._pause = 0.0
        self._rng = rng

    def add(self, ready_for: float) -> float:
        """Note an exit after this time of readiness, in seconds; return the pause before the next start."""
        if self.is_stable(ready_for):
            self.forget()
        self.in_row += 1
        self._pause = BACKOFF.pause(self.in_row, self._rng)
        return self._pause

    def forget(self) -> None:
        """Begin again without a death."""
        self.in_row = 0
        self._pause = 0.0

    def is_stable(self, ready_for: float) -> bool:
        """Return whether it counts as stable after this time of readiness, in seconds."""
        return ready_for >= max(_STABLE, self._pause)

    def are_too_many(self, limit: int | None) -> bool:
        """Return whether it is given up: there were as many deaths in a row as its limit allows."""
        return limit is not None and self.in_row >= limit
