"""What is tried: distributions with their versions, and a small program for each, from packages.toml."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from pathlib import Path

__all__ = ["OWN_TESTS", "PROGRAMS", "Entry", "load"]

PROGRAMS = Path(__file__).parent / "programs"

#: How the note of a row begins whose program is the distribution's own tests.
OWN_TESTS = "its own tests: "


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """One distribution in one version.

    Attributes:
        name: its name.
        version: its version, or what pip is asked for.
        requires: everything that is installed.
        program: the file in `programs` that uses it.
        tests: what of the source distribution pytest is given, where the program is `own_suite`.
        note: what a reader of the page should know.
    """

    name: str
    version: str
    requires: tuple[str, ...]
    program: Path
    tests: tuple[str, ...] = ()
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
    more, tests = one.get("with", []), one.get("tests", [])
    assert isinstance(more, list)
    assert isinstance(tests, list)
    return Entry(
        name,
        version,
        (str(one["name"]), *map(str, more)),
        PROGRAMS / f"{one['program']}.py",
        tuple(map(str, tests)),
        str(one.get("note", OWN_TESTS + ", ".join(f"`{name}`" for name in tests) if tests else "")),
    )
