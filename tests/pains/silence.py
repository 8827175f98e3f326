"""Working without a warning: one that comes is the pain."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator

from pains.verdict import Hurts

__all__ = ["no_warnings"]


@contextlib.contextmanager
def no_warnings() -> Iterator[None]:
    """Raise Hurts at the first warning inside the block."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            yield
        except Warning as warning:
            raise Hurts(f"{type(warning).__name__}: {' '.join(str(warning).split())}") from None
