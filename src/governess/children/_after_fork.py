"""What is called after a fork, in the child."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable

__all__ = ["run_after_fork"]


@functools.cache
def run_after_fork(forget: Callable[[], object]) -> None:
    """Call `forget` in every child that this process forks from now on; asked for twice, it is called once.

    Called on the first need and not at import, since an at-fork handler cannot be taken back. There is one handler for
    all of these functions.
    """
    if not _in_child and hasattr(os, "register_at_fork"):  # Windows has no fork
        os.register_at_fork(after_in_child=_run_in_child)
    _in_child.append(forget)


_in_child: list[Callable[[], object]] = []


def _run_in_child() -> None:
    with contextlib.ExitStack() as every_one_even_if_one_fails:
        for forget in reversed(_in_child):
            every_one_even_if_one_fails.callback(forget)
