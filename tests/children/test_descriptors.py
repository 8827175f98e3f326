"""Descriptors that are opened and closed while a signal handler raises: none is lost, none is closed twice."""

import os
import signal
import sys
import time

import pytest

from governess.children._descriptors import close_all, close_last, move, open_into, open_pair_into

if sys.platform == "win32":
    pytest.skip("needs setitimer", allow_module_level=True)


def own() -> set[str]:
    return set(os.listdir("/dev/fd"))


class Interrupt(BaseException):
    """What the handler raises."""


def interrupt(*_: object) -> None:
    raise Interrupt


def test_interrupts() -> None:
    """However many interrupts come, at whichever instant, all is closed in the end, and nothing twice."""
    before = own()
    old = signal.signal(signal.SIGALRM, interrupt)
    interrupts = 0
    deadline = time.monotonic() + 0.5
    try:
        while time.monotonic() < deadline:
            descriptors: list[int] = []
            ends: dict[int, int] = {}
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.00003)
                for _ in range(20):
                    first, _ = open_pair_into(descriptors, os.pipe)
                    open_into(descriptors, os.dup, first)
                    move(descriptors, -1, ends, 0)
                    close_last(descriptors)
                    close_all(descriptors)
                    descriptors.extend(map(ends.pop, (0,)))
                    close_all(descriptors)
                signal.setitimer(signal.ITIMER_REAL, 0)
            except Interrupt:
                interrupts += 1
            close_all(descriptors)
            close_all(list(ends.values()))
    finally:
        signal.signal(signal.SIGALRM, old)

    assert interrupts > 50
    assert own() == before
