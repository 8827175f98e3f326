"""How commands, times, sizes and the table are written."""

import signal
import sys

import pytest

from governess.cli.run.outcome import Outcome, duration, memory, shown
from governess.cli.run.report import SHORT, Tally, plain_table, summary

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


def tally(count: int, failed: set[int] = frozenset()) -> Tally:  # type: ignore[assignment]
    tally = Tally()
    for number in range(1, count + 1):
        tally.add(Outcome(number, f"c{number}", int(number in failed), wall=number / 100, cpu=0.01, peak=2**20))
    return tally


def test_plain_table() -> None:
    """A short table has all commands, in columns."""
    expected = (
        "command  exit    wall     CPU  peak memory\n"
        "c1       0     0.01 s  0.01 s      1.0 MiB\n"
        "c2       1     0.02 s  0.01 s      1.0 MiB\n"
    )

    assert expected == plain_table(tally(2, {2}), 100)


def test_long_table() -> None:
    """Very many commands leave the failed and the slowest in the table, and a count of the others."""
    lines = plain_table(tally(1000, {7, 8}), 100).splitlines()

    assert [line.split()[0] for line in lines[1:-1]] == ["c7", "c8", "c996", "c997", "c998", "c999", "c1000"]
    assert lines[-1] == "… 993 others succeeded"


def test_very_many_failures() -> None:
    """Failures beyond what a table holds are counted."""
    lines = plain_table(tally(1000, set(range(1, 101))), 100).splitlines()

    assert len(lines) == 1 + SHORT + 5 + 1
    assert lines[-1] == "… 60 more failed, 895 others succeeded"


def test_narrow_table() -> None:
    """A wide command gives way so that a line fits."""
    wide = Tally()
    wide.add(Outcome(1, "x" * 500, 0))

    assert all(len(line) <= 60 for line in plain_table(wide, 60).splitlines())


def test_summary() -> None:
    """One line sums up what succeeded, failed, and was not started."""
    assert (
        summary(tally(3, {1}), 4, 1.0) == "3 commands: 2 succeeded, 1 failed, 4 not started, in 1.00 s, 0.03 s of CPU\n"
    )
    assert summary(tally(1), 0, 125) == "1 command: 1 succeeded, in 2:05, 0.01 s of CPU\n"
