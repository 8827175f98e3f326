"""Whether a job that has failed is run again; `Backoff` (governess._programs.backoff) says when."""

from __future__ import annotations

from dataclasses import dataclass

from governess.jobs._states import State

__all__ = ["RetryOn"]


@dataclass(frozen=True, slots=True)
class RetryOn:
    """The failures after which a job is run again.

    Attributes:
        codes: exit statuses; None for all except 126 and 127. These two mean that the command could not be started,
            and such a job is never run again.
        reasons: any of `signal`, `timeout`, `memory`, `lost`.
    """

    codes: frozenset[int] | None = None
    reasons: frozenset[str] = frozenset({"signal", "timeout", "memory", "lost"})

    REASONS = ("signal", "timeout", "memory", "lost")

    @classmethod
    def parse(cls, text: str) -> RetryOn:
        """Parse a list such as `75,signal,timeout,memory`; `failure` stands for every exit status except 0.

        Raises:
            ValueError: a word is neither an exit status nor a reason, or a status is 126 or 127.
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
        """Return whether a job with this end is run again.

        Args:
            state: the state after the try.
            code: the exit status, or the negative number of a signal.
            lost: whether the exit status is unknown.
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
