"""Whether the versions over there fit those here."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib.metadata import version

__all__ = ["misfits", "our_versions"]


def our_versions() -> dict[str, str]:
    """Return the versions of what has to be the same everywhere."""
    return {
        "governess": version("governess"),
        "distributed": version("distributed"),
        "Python": f"{sys.version_info.major}.{sys.version_info.minor}",
    }


def misfits(ours: Mapping[str, str], theirs: Mapping[str, str], where: str) -> list[str]:
    """Return what is different over there, a sentence each.

    Args:
        ours: the versions here.
        theirs: the versions there.
        where: what is there: the worker or the scheduler, and its address.
    """
    return [
        f"{where} has {name} {theirs[name]}, and here is {ours[name]}"
        for name in ours
        if name in theirs and theirs[name] != ours[name]
    ]
