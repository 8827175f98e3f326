"""Durations and sizes as people write them."""

from __future__ import annotations

import math
import re

__all__ = ["format_size", "parse_seconds", "parse_size"]

_SECONDS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ms|min|[smhd]?)", re.IGNORECASE)


def parse_seconds(text: str) -> float:
    """Return the seconds of `90`, `1.5`, `200ms`, `1m`, `1h30m`, `2d`.

    Raises:
        ValueError: it is written otherwise.
    """
    bare = text.strip()
    parts = list(_PART.finditer(bare))
    if not parts or "".join(part[0] for part in parts) != bare or (len(parts) > 1 and any(not p[2] for p in parts)):
        raise ValueError(f"{text!r} is no duration such as 90, 1.5s, 2m or 1h30m")
    seconds = sum(float(part[1]) * _SECONDS[part[2].lower()] for part in parts)
    if not math.isfinite(seconds):
        raise ValueError(f"{text!r} is too long")
    return seconds


_SIZE = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*([kmgtp]?)(i?b)?", re.IGNORECASE)
_POWERS = " kmgtp"


def parse_size(text: str) -> int:
    """Return the bytes of `4096`, `500M`, `1.5G`, `2GiB`; the units are powers of 1024.

    Raises:
        ValueError: it is written otherwise, or less than a byte.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no size such as 4096, 500M or 2G")
    power = _POWERS.index(match[2].lower() or " ")
    size = int(float(match[1]) * 1024**power)
    if size < 1:
        raise ValueError(f"{text!r} is less than one byte")
    return size


def format_size(size: float) -> str:
    """Return a size such as `400M` or `1.5G`, as `parse_size` reads it."""
    for unit, power in (("T", 4), ("G", 3), ("M", 2), ("K", 1)):
        if size >= 1024**power:
            return f"{size / 1024**power:.4g}{unit}"
    return f"{size:.0f}"
