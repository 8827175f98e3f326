"""What a forked child must not take over from its parent."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable

__all__ = ["in_forked_child"]


@functools.cache
def in_forked_child(forget: Callable[[], object]) -> None:
    """Call `forget` in every child that this process forks from now on; asked for twice, it is called once.

    Called on the first need and not at import, since an at-fork handler cannot be taken back.
    """
    if hasattr(os, "register_at_fork"):  # Windows has no fork
        os.register_at_fork(after_in_child=forget)
