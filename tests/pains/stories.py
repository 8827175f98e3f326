"""The stories, as their files tell them."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Story", "stories"]


@dataclass(frozen=True)
class Story:
    """One file: its number, the pain, where it was told, and what governess gives.

    Attributes:
        module: the file's name, without its suffix.
        is_for_windows: whether it says ``WINDOWS = True``: then a Python for Windows plays it, where there is one.
    """

    module: str
    number: int
    pain: str
    told_in: str
    relief: str
    is_for_windows: bool


def stories() -> list[Story]:
    """Return all of them, in the order of their numbers."""
    return [_read(path) for path in sorted(Path(__file__).parent.glob("test_pain_*.py"))]


def _read(path: Path) -> Story:
    tree = ast.parse(path.read_text())
    told = re.fullmatch(r"Pain (\d+): (.+)\n\nTold in (.+)\.", ast.get_docstring(tree) or "", re.DOTALL)
    tests = [
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == path.stem
    ]
    if told is None or not tests:
        raise ValueError(f"{path.name}: needs a docstring 'Pain N: …', 'Told in …', and a test {path.stem}")
    number, pain, told_in = (" ".join(part.split()).rstrip(".") for part in told.groups())
    relief = (ast.get_docstring(tests[0]) or "").splitlines()[0]
    is_for_windows = any(ast.unparse(node) == "WINDOWS = True" for node in tree.body)
    return Story(path.stem, int(number), pain, told_in, relief, is_for_windows)
