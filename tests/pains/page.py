"""docs/pains.md, made of what was seen."""

from __future__ import annotations

import importlib.metadata
import platform
import re
from collections.abc import Iterable, Mapping, Sequence

from pains.cells import Cell
from pains.contestants import CONTESTANTS
from pains.stories import Story

__all__ = ["page_of", "told"]

HEAD = """\
# Problems solved

`make pains ARGS=--write` made this page: it runs the same scenario with each library, each in a process of its own.
Tests run the same scenarios on every version of Python. The results are those of
{machine}.

✓ the problem does not occur · ✗ it occurs · – the library has no such feature, or the scenario could not be tried

"""


def page_of(stories: Sequence[Story], cells: Mapping[tuple[Story, str], Cell]) -> str:
    """Return the page: a table of marks, and then each story with what was seen."""
    columns = list(CONTESTANTS)
    rows = [
        [f"[{story.number}](#{_anchor(story)})", story.pain, *(cells[story, column].sign for column in columns)]
        for story in stories
    ]
    table = _table(["", "Problem", *columns], rows)
    sections = [_section(story, [(column, cells[story, column]) for column in columns]) for story in stories]
    return HEAD.format(machine=_machine()) + table + "\n" + "\n".join(sections)


def told(story: Story) -> str:
    """Return what the page says of a story before what was seen."""
    return f"## {story.number}. {story.pain}\n\nReported in {_linked(story.told_in)}. {story.relief}"


def _section(story: Story, seen: Iterable[tuple[str, Cell]]) -> str:
    lines = [f"- {cell.sign} {column}: {_escaped(cell.words)}" for column, cell in seen]
    return f"({_anchor(story)})=\n\n{told(story)}\n\n" + "\n".join(lines) + "\n"


def _anchor(story: Story) -> str:
    return f"pain-{story.number}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


#: The repositories whose threads are quoted by their short name.
REPOSITORIES = {"cpython": "python/cpython"}


def _linked(told_in: str) -> str:
    return re.sub(r"(?<![\w/])([\w.-]+/[\w.-]+|cpython)#(\d+)", _link, told_in)


def _link(match: re.Match[str]) -> str:
    name, number = match.groups()
    return f"[{match.group()}](https://github.com/{REPOSITORIES.get(name, name)}/issues/{number})"


def _escaped(words: str) -> str:
    """Return the words as Markdown; what is code, between backquotes, stays as it is."""
    parts = words.split("`")
    parts[::2] = [part.replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_") for part in parts[::2]]
    return "`".join(parts)


def _machine() -> str:
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("uvloop", "trio", "anyio")]
    kernel = ".".join(platform.release().split(".")[:2])
    system = platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    return f"Python {platform.python_version()} with {', '.join(versions)}, {system}, Linux {kernel}"
