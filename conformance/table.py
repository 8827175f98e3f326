"""The table of what is left out and what is turned around, which stands in exceptions.toml."""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path
from typing import Any

from conformance.interpreters import PYTHONS

__all__ = ["EXCLUSIONS", "REVERSALS", "Exclusion", "Reversal", "excluded", "reversed_assertions"]


@dataclasses.dataclass(frozen=True, slots=True)
class Exclusion:
    """Tests that are left out, for one reason.

    Attributes:
        reason: why.
        suites: the versions whose tests they are.
        pythons: where they are left out.
        tests: their names, `module.Class.test`.
        racy: they may pass, or hang, so that nothing is learnt by trying them.
    """

    reason: str
    suites: tuple[str, ...]
    pythons: tuple[str, ...]
    tests: tuple[str, ...]
    racy: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Reversal:
    """Functions of a suite in which an assertion is turned around: what it waits for must not happen.

    Attributes:
        reason: why.
        assertion: the method, `assertWarns` or `assertRaises`.
        suites: the versions whose functions they are.
        functions: their names, `module.Class.function`.
    """

    reason: str
    assertion: str
    suites: tuple[str, ...]
    functions: tuple[str, ...]


def excluded(suite: str, python: str) -> dict[str, Exclusion]:
    """Return what is left out of a suite on a Python, by the test's name."""
    here = [one for one in EXCLUSIONS if suite in one.suites and python in one.pythons]
    return {test: one for one in here for test in one.tests}


def reversed_assertions(suite: str) -> frozenset[tuple[str, str]]:
    """Return the assertions of a suite that are turned around: the function, and the assertion in it."""
    return frozenset((name, one.assertion) for one in REVERSALS if suite in one.suites for name in one.functions)


def _exclusion(entry: dict[str, Any]) -> Exclusion:
    tests = [f"{module_and_class}.{test}" for module_and_class, names in entry["tests"].items() for test in names]
    return Exclusion(
        reason=entry["reason"],
        suites=tuple(entry["suites"]),
        pythons=tuple(entry.get("pythons", PYTHONS)),
        tests=tuple(tests),
        racy=entry.get("racy", False),
    )


def _reversal(entry: dict[str, Any]) -> Reversal:
    return Reversal(entry["reason"], entry["assertion"], tuple(entry["suites"]), tuple(entry["functions"]))


_DATA = tomllib.loads(Path(__file__).with_name("exceptions.toml").read_text())
EXCLUSIONS = tuple(_exclusion(entry) for entry in _DATA["exclusion"])
REVERSALS = tuple(_reversal(entry) for entry in _DATA["reversed"])
