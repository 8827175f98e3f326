"""Opening and closing descriptors in single steps of C, which no signal handler that raises can interrupt.

A KeyboardInterrupt can come between any two steps of Python: between a call that opens a descriptor and the assignment
of its number, too, which loses the number. But `list.extend` calls a function of C and keeps what it returns without a
step of Python in between.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import chain, starmap
from typing import Any

__all__ = ["close_all", "close_last", "move", "open_into", "open_pair_into"]


def open_into(descriptors: list[int], function: Callable[..., int], *arguments: Any) -> int:
    """Call a function of C that opens a descriptor; append that to the list, and return it."""
    descriptors.extend(starmap(function, (arguments,)))
    return descriptors[-1]


def open_pair_into(descriptors: list[int], function: Callable[[], tuple[int, int]]) -> tuple[int, int]:
    """Call a function of C that opens two descriptors; append them to the list, and return them."""
    descriptors.extend(chain.from_iterable(starmap(function, ((),))))
    return descriptors[-2], descriptors[-1]


def move(descriptors: list[int], place: int, target: dict[int, int], key: int) -> None:
    """Take the descriptor at this place out of the list, and put it into the dict."""
    target.update(zip((key,), map(descriptors.pop, (place,)), strict=True))


def close_last(descriptors: list[int]) -> None:
    """Close the last descriptor of the list, and take it out."""
    nothing: list[None] = []
    nothing.extend(map(os.close, map(descriptors.pop, (-1,))))


def close_all(descriptors: list[int]) -> None:
    """Close the descriptors of the list, and empty it."""
    while descriptors:
        close_last(descriptors)
