"""`make wild`: distributions of others, plain and with governess."""

from pathlib import Path

import pytest
from wild import page
from wild.entries import load
from wild.run import WAYS, Outcome, Result

ENTRIES = load()
WORKS, FAILS = Result(True, "3"), Result(False, "ImportError: no `name`")


def outcome(*results: Result, version: str = "1.0", python: str = "3.15") -> Outcome:
    return Outcome(ENTRIES[0], python, version, dict(zip(WAYS, results, strict=True)))


def test_entries() -> None:
    """Each entry has a program and a version, and a name of its own."""
    assert len(ENTRIES) >= 100
    assert all(entry.program.exists() and entry.version for entry in ENTRIES)
    assert len({entry.key for entry in ENTRIES}) == len(ENTRIES)


@pytest.mark.parametrize(
    ("results", "broken", "word", "difference"),
    [
        ((WORKS, WORKS, WORKS), False, "works", "nothing"),
        ((FAILS, WORKS, WORKS), False, "works", "on 3.15 it needs governess: `ImportError: no 'name'`"),
        ((WORKS, WORKS, FAILS), True, "fails", "on 3.15, with governess alone: `ImportError: no 'name'`"),
        ((FAILS, FAILS, FAILS), False, "fails", "on 3.15: `ImportError: no 'name'`"),
        ((WORKS, Result(True, "4"), WORKS), False, "works", "on 3.15: `3` is `4`"),
    ],
)
def test_row(results: tuple[Result, ...], broken: bool, word: str, difference: str) -> None:
    """A row tells who works and what is different; it is broken if plain Python works and governess does not."""
    one = outcome(*results)
    assert page.is_broken(one) == broken
    assert page.row([None, one])[2:] == ["not tried", "works" if results[0].worked else "fails", word, difference]


def test_row_of_what_cannot_be_installed() -> None:
    """A version that cannot be installed says why."""
    cells = page.row([outcome(FAILS, FAILS, FAILS, version="")])
    assert cells[1:] == [ENTRIES[0].version, "not installable", "not installable", "on 3.15: `ImportError: no 'name'`"]


def test_untried_rows_stay(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An entry that was not tried keeps its row, and an entry with its own tests is another one than its program."""
    program, suite = (next(one for one in ENTRIES if one.name == "mcp" and bool(one.tests) == has) for has in (0, 1))
    kept = f"| `mcp` | {suite.version} | works | works | works | works | {suite.note} |"
    old = f"| `mcp` | {program.version} | fails | works | works | works | nothing |"
    monkeypatch.setattr(page, "PAGE", copy := tmp_path / "page.md")
    copy.write_text(f"before {page.BEGIN}\n{old}\n{kept}\n{page.END} after")
    tried = Outcome(program, "3.15", program.version, dict.fromkeys(WAYS, WORKS))
    page.write([program, suite], [[tried], [None]], ("3.15",))
    rows = [line for line in copy.read_text().splitlines() if line.startswith("| `")]
    assert rows == [f"| `mcp` | {program.version} | works | works | nothing |", kept]


def test_page() -> None:
    """The page has at least a hundred rows, and none where plain Python works and governess does not."""
    text = Path(page.PAGE).read_text().split(page.BEGIN)[1].split(page.END)[0]
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| `")]
    assert len(rows) >= 100
    assert not [row for row in rows if row[4] == "works" and row[5] != "works"]
    assert "with governess alone" not in text  # as the rows say it of an older Python
