"""What the migration page says of each name and version is so on the interpreter that runs this."""

import asyncio
import inspect
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import governess
from asyncio_version import ASYNCIO_VERSION
from governess import _bridge as bridge

Version = tuple[int, int]
Row = dict[str, str]

PAGE = Path(__file__).parents[2] / "docs" / "migration.md"
BEYOND: Version = (99, 0)

#: Uses each name as a program does; tells whether it is there, and whether a warning came of the name.
ASK = """
import asyncio, contextlib, inspect, json, sys, warnings

def find(name):
    thing = asyncio
    for part in name.split("."):
        thing = getattr(thing, part)
    return thing

def use(name, thing):
    owner, _, last = name.rpartition(".")
    if owner == "AbstractEventLoopPolicy":
        call(last, getattr(asyncio.DefaultEventLoopPolicy(), last))
    elif owner == "AbstractChildWatcher":
        type("Mine", (find(owner),), {last: None})
    elif not inspect.isclass(thing):
        call(last, thing)
    elif "Abstract" in last or "Base" in last:
        type("Mine", (thing,), {})
    else:
        thing()

def call(name, function):
    with contextlib.suppress(RuntimeError):  # there is no current loop; that has a table of its own
        function(*[None] if "set_" in name else [])

def ask(name):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DeprecationWarning)
        try:
            thing = find(name)
        except AttributeError:
            return {"present": False, "warns": False}
        use(name, thing)
    return {"present": True, "warns": any("deprecated" in str(warning.message) for warning in caught)}

print(json.dumps({name: ask(name) for name in sys.argv[1:]}))
"""

ASK_FOR_A_LOOP = """
import asyncio, json, threading, warnings

def ask():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DeprecationWarning)
        try:
            asyncio.get_event_loop().close()
        except RuntimeError:
            return "RuntimeError"
    return "makes one and warns" if caught else "makes one"

answers = [ask()]
asyncio.set_event_loop(None)
answers.append(ask())
thread = threading.Thread(target=lambda: answers.append(ask()))
thread.start()
thread.join()
print(json.dumps(answers))
"""


def tables() -> Iterator[list[Row]]:
    """The tables of the page, each row by the heads of its columns."""
    for block in re.findall(r"(?:^\|.*\n)+", PAGE.read_text(encoding="utf-8"), re.MULTILINE):
        heads, _, *rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in block.splitlines()]
        yield [dict(zip(heads, row, strict=True)) for row in rows]


def rows_with(head: str) -> list[Row]:
    return [row for table in tables() for row in table if head in row]


def names_in(row: Row) -> list[str]:
    return re.findall(r"`([^`]+)`", row["name"])


def version(text: str) -> Version:
    if text == "never":
        return BEYOND
    major, minor = text.removeprefix("before ").split(".")
    return int(major), int(minor)


def run(script: str, *arguments: str) -> Any:
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


RECOMMENDED = [row for row in rows_with("added") if "removed" not in row]
NAMES = {name: row for row in rows_with("removed") for name in names_in(row) if not name.startswith("Windows")}


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, bool]]:
    return run(ASK, *NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_name(name: str, found: dict[str, dict[str, bool]]) -> None:
    """asyncio has the name from the version on that added it until the one that removed it, and warns in between."""
    row = NAMES[name]
    present = version(row["added"]) <= ASYNCIO_VERSION < version(row["removed"])
    warns = present and version(row["deprecated"]) <= ASYNCIO_VERSION
    assert found[name] == {"present": present, "warns": warns}


@pytest.mark.parametrize("row", rows_with("added"), ids=lambda row: row["name"])
def test_versions_come_in_order(row: Row) -> None:
    """A name is added, then deprecated, then removed."""
    versions = [version(row[head]) for head in ("added", "deprecated", "removed") if row.get(head, "never") != "never"]
    assert versions == sorted(set(versions))


def test_no_name_is_missing() -> None:
    """Every name that the bridge gives to asyncio stands in the page, and every one of the page's leads here."""
    given = {name for names in bridge._names().values() for name in names}
    told = {name.rpartition(".")[2] for row in rows_with("removed") for name in names_in(row)}
    methods = {name.rpartition(".")[2] for name in NAMES if name.startswith("Abstract") and "." in name}
    windows = {name for name in told if name.startswith("Windows")}
    only_there = {name for name in told if name.startswith("_") and name not in given}
    assert given <= told
    assert told - given <= methods | windows | only_there


def test_what_governess_gives() -> None:
    """Where the page names something of governess's, it is what the bridge puts into the name's place."""
    given = {name: value for names in bridge._names().values() for name, value in names.items()}
    for row in rows_with("removed"):
        if there := re.fullmatch(r"`governess\.(\w+)`", row["governess"]):
            for name in (name.rpartition(".")[2] for name in names_in(row)):
                assert given.get(name) in (None, getattr(governess, there[1])), name


@pytest.mark.parametrize("row", RECOMMENDED, ids=lambda row: row["name"])
def test_what_the_standard_library_has(row: Row) -> None:
    """A function, class or argument that is recommended is there from the version on that the page tells."""
    [recommended] = names_in(row)
    name, _, parameter = recommended.rstrip("=…)").partition("(")
    thing = getattr(asyncio, name, None)
    present = thing is not None and (not parameter or parameter in inspect.signature(thing).parameters)
    assert present == (version(row["added"]) <= ASYNCIO_VERSION)


@pytest.mark.parametrize("where", ["asyncio", "governess"])
def test_get_event_loop(where: str) -> None:
    """Where no loop runs, `get_event_loop()` does what the page tells of this version, or of governess."""
    told = {row["version"]: list(row.values())[1:] for row in rows_with("version")}
    here = ".".join(map(str, ASYNCIO_VERSION)) if where == "asyncio" else "governess"
    preparation = "import governess; governess.install()" if where == "governess" else ""
    in_main_thread, after_none, in_other_thread = run(preparation + ASK_FOR_A_LOOP)
    assert [in_main_thread, after_none] == told[here]
    assert in_other_thread == after_none
