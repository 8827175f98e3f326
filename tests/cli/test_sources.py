"""From the words of the command line to the commands."""

from pathlib import Path

import pytest

from governess.cli.run.sources import Command, Plan, SourceError, read_lines

pytestmark = pytest.mark.windows

FILES = {"-": ["in 1", "in 2"], "x": ["x1", "x2", "x3"], "blank": ["", "  ", "# no command"], "empty": []}


def commands(*words: str, is_command: bool = False) -> list[Command]:
    plan = Plan.of(words, FILES.__getitem__, is_command=is_command)
    made = [plan.command(arguments, number, 1) for number, arguments in enumerate(plan.arguments, 1)]
    assert plan.total == len(made)
    return made


def words_of(*words: str) -> list[str]:
    return [" ".join(command) for command in commands(*words)]


def test_one_source() -> None:
    """`:::` gives one command for each argument."""
    assert commands("echo", "{}", ":::", "a b", "c") == [("echo", "a b"), ("echo", "c")]


def test_every_combination() -> None:
    """Several `:::` give every combination, the last source varying fastest."""
    assert words_of("e", ":::", "a", "b", ":::", "1", "2") == ["e a 1", "e a 2", "e b 1", "e b 2"]


def test_linked() -> None:
    """`:::+` links arguments one by one, as far as the shorter source goes."""
    assert words_of("e", ":::", "a", "b", "c", ":::+", "1", "2") == ["e a 1", "e b 2"]


def test_linked_and_combined() -> None:
    """A linked pair is one source in the combinations with others, and its parts have positions of their own."""
    expected = ["e a 1 x", "e a 1 y", "e b 2 x", "e b 2 y"]

    assert expected == words_of("e", "{1}", "{2}", "{3}", ":::", "a", "b", ":::+", "1", "2", ":::", "x", "y")


def test_files_of_arguments() -> None:
    """`::::` takes a source from each file, `::::+` links it, `-` is standard input."""
    assert words_of("e", "::::", "x") == ["e x1", "e x2", "e x3"]
    assert words_of("e", ":::", "a", "b", "::::+", "x") == ["e a x1", "e b x2"]
    assert len(commands("e", "::::", "x", "-")) == 6


def test_arguments_from_standard_input() -> None:
    """A command without `:::` takes the lines of standard input as its arguments."""
    assert words_of("e", "{}", "x") == ["e in 1 x", "e in 2 x"]
    assert commands("e", is_command=True) == [("e", "in 1"), ("e", "in 2")]


def test_file_of_commands() -> None:
    """A single word is a file of commands, each a line for the shell."""
    assert commands("x") == ["x1", "x2", "x3"]


def test_commands_as_arguments() -> None:
    """`:::` without a command takes each argument as one, split into words as a shell would."""
    assert commands(":::", "echo 'a b' #c", "true") == [("echo", "a b", "#c"), ("true",)]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("", "nothing to run"),
        ("e :::", "no arguments after :::"),
        ("e ::: a :::+", "no arguments after :::+"),
        ("e ::::", ":::: needs a file"),
        ("e :::: empty", "empty holds no arguments"),
        ("empty", "empty holds no commands"),
        ("blank", "blank holds no commands"),
        ("e {2} ::: a", "only one"),
        ("::: 'a", "no closing quotation"),
    ],
)
def test_nothing_to_run(words: str, complaint: str) -> None:
    """What cannot be run is told in one line."""
    with pytest.raises(SourceError, match=complaint) as caught:
        Plan.of(words.split(), FILES.__getitem__)

    assert "\n" not in str(caught.value)


def test_combinations_are_made_when_needed() -> None:
    """A million combinations cost nothing until they are taken."""
    thousand = [str(number) for number in range(1000)]
    plan = Plan.of(["e", *[":::", *thousand] * 4], read_lines)

    assert plan.total == 10**12
    assert next(iter(plan.arguments)) == ("0", "0", "0", "0")


def test_read_lines(tmp_path: Path) -> None:
    """A file's lines are read with or without a newline at the end, and any bytes survive."""
    path = tmp_path / "lines"
    path.write_bytes(b"a\n\n\xc3\xa9 b")

    assert read_lines(str(path)) == ["a", "", "é b"]


def test_unreadable_file(tmp_path: Path) -> None:
    """A file that cannot be read is told with its name and the reason."""
    with pytest.raises(SourceError, match=r"cannot read .*nowhere: No such file"):
        read_lines(str(tmp_path / "nowhere"))
