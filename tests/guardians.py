"""The guardian of a process: docs/how-it-works.md."""

from contextlib import suppress
from pathlib import Path

__all__ = ["children_of", "guarded_by", "guardians_of"]


def children_of(pid: int) -> list[int]:
    """Return the children of a process, dead ones too."""
    lists = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    return [int(child) for words in lists for child in words.split()]


def guardians_of(pid: int) -> list[int]:
    """Return the living guardians of a process."""
    return [child for child in children_of(pid) if is_guardian(child)]


def is_guardian(pid: int) -> bool:
    try:
        return b"governess/children/_guardian" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def guarded_by(guardian: int) -> int:
    """Return how many children the guardian knows; besides theirs it has one pidfd, its parent's."""
    count = -1
    for path in Path(f"/proc/{guardian}/fd").iterdir():
        with suppress(OSError):  # it is closed by now
            count += "pidfd" in path.readlink().name
    return count
