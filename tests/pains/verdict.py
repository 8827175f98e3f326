"""What became of a pain with one library."""

__all__ = ["DoesNotApply", "Hurts", "lacks"]


class Hurts(Exception):
    """The pain is there: in a few words, what was seen."""


class DoesNotApply(Exception):
    """The library has nothing that could hurt so, nor sets out to: in a few words, why."""


def lacks(thing: str) -> Hurts:
    """Return the pain of a library that has no such thing."""
    return Hurts(f"has no {thing}")
