"""How commands, times, sizes and the table are written."""

import signal
import sys

import pytest

from governess.cli.run.outcome import Outcome, duration, memory, shown
from governess.cli.run.report import MOST, Tally, plain_table, summary

pytestmark = pytest.mark.windows


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (("echo", "a b", "c"), "echo 'a b' c"),
        ("a | b > 'c d'", "a | b > 'c d'"),
        ("red \x1b[31m\x07\n\x9b", r"red \x1b[31m\x07\n\x9b"),
        ("turned \u202e round", r"turned \u202e round"),
        ("no text \udcff", r"no text \udcff"),
        ("é [bold]x[/bold]", "é [bold]x[/bold]"),
    ],
)
def test_commands_cannot_speak_to_the_terminal(command: str | tuple[str, ...], text: str) -> None:
    """A command is written quoted, on one line, its unprintable characters spelt out."""
    assert text == shown(command)


@pytest.mark.parametrize("length", [10, 20, 21, 1000])
def test_wide_commands(length: int) -> None:
    """A command too wide for its place loses its middle."""
    text = shown("a" + "x" * (length - 2) + "z", 20)

    assert min(length, 20) == len(text)
    assert (text[0], text[-1]) == ("a", "z")
    assert ("…" in text) == (length > 20)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (0.004, "0.00 s"), (59.994, "59.99 s"), (125, "2:05"), (3599.7, "1:00:00"), (7325, "2:02:05")],
)
def test_duration(seconds: float | None, text: str) -> None:
    """Times are written in the unit that fits."""
    assert text == duration(seconds)


def test_memory() -> None:
    """Sizes are written in MiB or GiB."""
    assert (memory(None), memory(3 * 2**19), memory(2**31, at_most=True)) == ("-", "1.5 MiB", "≤ 2.00 GiB")


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (Outcome(1, "x", 0), "0"),
        (Outcome(1, "x", 3), "3"),
        (Outcome(1, "x", 0xC0000005), "0xc0000005"),
        (Outcome(1, "x", 0, timed_out=True), "timed out"),
        (Outcome(1, "x", 255, remark="lost"), "lost"),
    ],
)
def test_status(outcome: Outcome, status: str) -> None:
    """The end of a command is told in a word; only 0 in time is no failure."""
    assert status == outcome.status
    assert outcome.failed == (status != "0")


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_signals_have_names() -> None:
    """A signal is told by its name, with the core dump it left."""
    assert Outcome(1, "x", -signal.SIGSEGV, remark="core").status == "SIGSEGV (core)"
    assert Outcome(1, "x", -signal.SIGKILL).status == "SIGKILL"


def tally(count: int, failed: set[int] = frozenset(), *, all: bool = False) -> Tally:  # type: ignore[assignment]
    tally = Tally(all=all)
    for number in range(1, count + 1):
        tally.add(Outcome(number, f"c{number}", int(number in failed), duration=number / 100, cpu=0.01, peak=2**20))
    return tally


def test_plain_table() -> None:
    """The table has the failed commands, in columns."""
    expected = "command  exit    wall     CPU  peak memory\nc2       1     0.02 s  0.01 s      1.0 MiB\n"

    assert expected == plain_table(tally(2, {2}), 100)


def test_no_failure() -> None:
    """Without a failure there is no table."""
    assert plain_table(tally(2), 100) == ""


def test_whole_table() -> None:
    """With --table it has all commands, however many they are."""
    lines = plain_table(tally(1000, {7, 8}, all=True), 100).splitlines()

    assert [line.split()[0] for line in lines[1:]] == [f"c{number}" for number in range(1, 1001)]


def test_very_many_failures() -> None:
    """Failures beyond what a table holds are counted."""
    lines = plain_table(tally(1000, set(range(1, 101))), 100).splitlines()

    assert len(lines) == 1 + MOST + 1
    assert lines[-1] == "… 60 more failed"


@pytest.mark.parametrize(
    ("width", "columns"),
    [(60, 5), (59, 4), (47, 4), (46, 3), (39, 3), (38, 2), (31, 2)],
)
def test_columns_are_left_out(width: int, columns: int) -> None:
    """Columns are left out from the right before a command is shortened."""
    outcomes = Tally()
    outcomes.add(Outcome(1, "x" * 25, 1, duration=1.0, cpu=1.0, peak=2**20))
    head, row = plain_table(outcomes, width).splitlines()

    assert len(head.replace("peak memory", "peak").split()) == columns
    assert "x" * 25 in row
    assert len(row) <= width


@pytest.mark.parametrize("width", [40, 60, 100])
def test_narrow_table(width: int) -> None:
    """A command too wide for any line is shortened, so that it fits; where there is room, columns stay."""
    wide = Tally()
    wide.add(Outcome(1, "x" * 500, 1))
    lines = plain_table(wide, width).splitlines()

    assert all(len(line) <= width for line in lines)
    assert "…" in lines[1]
    assert ("wall" in lines[0]) == (width >= 60)
    assert ("peak memory" in lines[0]) == (width >= 100)


def test_summary() -> None:
    """One line sums up what succeeded, failed, and was not started."""
    assert (
        summary(tally(3, {1}), 4, 1.0) == "3 commands: 2 succeeded, 1 failed, 4 not started, in 1.00 s, 0.03 s of CPU\n"
    )
    assert summary(tally(1), 2, 1.0, is_complete=False).startswith("1 command: 1 succeeded, 2 or more not started, in")
    assert summary(tally(1), 0, 125) == "1 command: 1 succeeded, in 2:05, 0.01 s of CPU\n"
