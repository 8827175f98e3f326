"""What is tried: distributions with their versions, and a small program for each, from packages.toml."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from pathlib import Path

__all__ = ["PROGRAMS", "Entry", "load"]

PROGRAMS = Path(__file__).parent / "programs"


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """One distribution in one version.

    Attributes:
        name: its name.
        version: its version, or what pip is asked for.
        requires: everything that is installed.
        program: the file in `programs` that uses it.
        source: whether the program needs the source distribution, for the tests in it.
        note: what a reader of the page should know.
    """

    name: str
    version: str
    requires: tuple[str, ...]
    program: Path
    source: bool = False
    note: str = ""

    @property
    def key(self) -> str:
        """A name for a folder."""
        return re.sub(r"[^\w.]+", "-", f"{self.name}-{self.version}-{self.program.stem}")


def load() -> list[Entry]:
    """Return all entries, in the order of the file."""
    data = tomllib.loads(Path(__file__).with_name("packages.toml").read_text())
    return [_entry(one) for one in data["package"]]


def _entry(one: dict[str, object]) -> Entry:
    name, _, version = str(one["name"]).partition("==")
    more = one.get("with", [])
    assert isinstance(more, list)
    return Entry(
        name,
        version,
        (str(one["name"]), *map(str, more)),
        PROGRAMS / f"{one['program']}.py",
        bool(one.get("source")),
        str(one.get("note", "")),
    )
