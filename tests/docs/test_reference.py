"""The reference has a page for each module, with every public name."""

import importlib
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs" / "reference"
MODULES = (
    "subprocess",
    "watchers",
    "policies",
    "loops",
    "children",
    "jobs",
    "services",
    "files",
    "abc",
    "pytest_plugin",
)
EVERYWHERE = {"PIPE", "STDOUT", "DEVNULL"}  # of the module subprocess


@pytest.mark.parametrize("module", MODULES)
def test_module(module: str) -> None:
    """Every name in `__all__` of a module is on its page."""
    text = (DOCS / f"{module}.md").read_text()
    names = set(importlib.import_module(f"governess.{module}").__all__) - EVERYWHERE
    assert {name for name in names if not _has(text, name, module)} == set()


def test_package() -> None:
    """Every name in `__all__` of the package is on some page."""
    text = "".join(page.read_text() for page in DOCS.glob("*.md"))
    names = set(importlib.import_module("governess").__all__)
    assert {name for name in names if not _has(text, name, "")} == set()


def _has(text: str, name: str, module: str) -> bool:
    lines = text.replace("()\n", "\n")
    return any(f":: {owner}{name}\n" in lines for owner in ("governess.", f"governess.{module}.", ""))
