"""Whether a job that has failed is run again, and when; without I/O."""

from __future__ import annotations

import random
from dataclasses import dataclass

from governess.jobs._states import State
from governess.jobs._units import parse_seconds

__all__ = ["Backoff", "RetryOn"]


@dataclass(frozen=True, slots=True)
class Backoff:
    """The pauses between the tries of a job: twice as long each time, up to a limit, each ± 20 %.

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
        """Return how many seconds to wait after so many tries, the last of which has failed."""
        exponent = min(tries - 1, 1000)
        pause = min(self.cap, self.base * 2.0**exponent) if self.base else 0.0
        return pause * (1 + self.JITTER * (2 * (rng or random).random() - 1))

    @property
    def longest(self) -> float:
        """The longest pause in seconds."""
        return self.cap * (1 + self.JITTER)


@dataclass(frozen=True, slots=True)
class RetryOn:
    """The failures after which a job is run again.

    Attributes:
        codes: exit statuses; None for all of them. 126 and 127, which mean that it could not be started, never count.
        reasons: some of `signal`, `timeout`, `memory`, `lost`.
    """

    codes: frozenset[int] | None = None
    reasons: frozenset[str] = frozenset({"signal", "timeout", "memory", "lost"})

    REASONS = ("signal", "timeout", "memory", "lost")

    @classmethod
    def parse(cls, text: str) -> RetryOn:
        """Return what is written as `75,signal,timeout,memory`; `failure` stands for every exit status but 0.

        Raises:
            ValueError: a word is neither an exit status nor a reason.
        """
        codes: set[int] = set()
        reasons: set[str] = set()
        every_code = False
        for word in filter(None, (part.strip() for part in text.split(","))):
            if word.isascii() and word.isdigit() and 0 < int(word) < 1 << 32:
                codes.add(int(word))
            elif word == "failure":
                every_code = True
            elif word in cls.REASONS:
                reasons.add(word)
            else:
                raise ValueError(
                    f"{word!r} is neither an exit status above 0 nor one of failure, {', '.join(cls.REASONS)}"
                )
        if never := codes & _NEVER:
            raise ValueError(f"{min(never)} means that a command could not be started, which is never tried again")
        return cls(None if every_code else frozenset(codes), frozenset(reasons))

    def includes(self, state: State, code: int, *, lost: bool = False) -> bool:
        """Return whether a job that ended so is run again.

        Args:
            state: what became of it.
            code: its exit status, or the negative number of a signal.
            lost: whether its exit status could not be known.
        """
        if state is State.TIMEOUT:
            return "timeout" in self.reasons
        if state is State.MEMORY:
            return "memory" in self.reasons
        if state is not State.FAILED:
            return False
        if lost:
            return "lost" in self.reasons
        if code < 0:
            return "signal" in self.reasons
        return code not in _NEVER and (self.codes is None or code in self.codes)


_NEVER = frozenset({126, 127})
