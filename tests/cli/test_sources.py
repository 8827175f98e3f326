"""From the words of the command line to the commands."""

import asyncio
import io
import itertools
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from governess.cli.run.inputs import Format, InputOptions, SourceError, make_plan, parse_delimiter
from governess.cli.run.inputs.read_ahead import ReadAhead
from governess.cli.run.inputs.records import read_records
from governess.jobs import Command

pytestmark = pytest.mark.windows

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs sh")


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in {"x": "x1\nx2\nx3\n", "blank": "\n  \n# no command\n", "empty": "", "y": "y1\n"}.items():
        Path(name).write_text(text)


@pytest.fixture
def stdin(tmp_path: Path) -> Any:
    """Have standard input hold the lines `in 1` and `in 2`."""
    path = tmp_path / "stdin"
    path.write_text("in 1\nin 2\n")
    before = os.dup(0)
    with path.open() as file:
        os.dup2(file.fileno(), 0)
    yield
    os.dup2(before, 0)
    os.close(before)


def commands(*words: str, is_command: bool = False, **options: Any) -> list[Command]:
    plan = make_plan(words, InputOptions(**options), is_command=is_command)
    made = [plan.command(item, 1) for item in plan.items()]
    assert plan.total == len(made)
    return made


def words_of(*words: str, **options: Any) -> list[str]:
    return [" ".join(command) for command in commands(*words, **options)]


def test_one_source() -> None:
    """`:::` gives one command for each argument."""
    assert commands("echo", "{}", ":::", "a b", "c") == [("echo", "a b"), ("echo", "c")]


def test_every_combination() -> None:
    """Several `:::` give every combination, the last source varying fastest."""
    assert words_of("e", ":::", "a", "b", ":::", "1", "2") == ["e a 1", "e a 2", "e b 1", "e b 2"]


def test_linked() -> None:
    """`:::+` links arguments one by one, as far as the shorter source goes."""
    assert words_of("e", ":::", "a", "b", "c", ":::+", "1", "2") == ["e a 1", "e b 2"]


def test_all_linked() -> None:
    """--link takes one argument of each source at a time; shorter ones begin anew."""
    expected = ["e a 1", "e b 2", "e c 1"]

    assert expected == words_of("e", ":::", "a", "b", "c", ":::", "1", "2", links=True)


def test_linked_and_combined() -> None:
    """A linked pair is one source in the combinations with others, and its parts have positions of their own."""
    expected = ["e a 1 x", "e a 1 y", "e b 2 x", "e b 2 y"]

    assert expected == words_of("e", "{1}", "{2}", "{3}", ":::", "a", "b", ":::+", "1", "2", ":::", "x", "y")


def test_files_of_arguments() -> None:
    """`::::` and -a take a source from each file, `::::+` links it; those of -a come first."""
    assert words_of("e", "::::", "x") == ["e x1", "e x2", "e x3"]
    assert words_of("e", ":::", "a", "b", "::::+", "x") == ["e a x1", "e b x2"]
    assert len(commands("e", "::::", "x", "x")) == 9
    assert words_of("e", files=("x",)) == ["e x1", "e x2", "e x3"]
    assert words_of("e", ":::", "a", "b", files=("y",)) == ["e y1 a", "e y1 b"]


def test_arguments_from_standard_input(stdin: None) -> None:
    """A command without `:::` takes the lines of standard input as its arguments."""
    assert words_of("e", "{}", "x") == ["e in 1 x", "e in 2 x"]


def test_a_single_program_takes_standard_input(stdin: None) -> None:
    """A single word that is a program, and no file here, is a command; so is any after `--`."""
    assert commands(sys.executable if sys.platform == "win32" else "ls", is_command=True)[0][1:] == ("in 1",)
    os.lseek(0, 0, os.SEEK_SET)
    if sys.platform != "win32":
        assert commands("ls") == [("ls", "in 1"), ("ls", "in 2")]


def test_file_of_commands() -> None:
    """A single word that is a file has a line for the shell in each line."""
    assert commands("x") == ["x1", "x2", "x3"]
    assert commands(files=("x",)) == ["x1", "x2", "x3"]


def test_standard_input_of_commands(stdin: None) -> None:
    """`-`, and no word at all, take commands from standard input."""
    assert commands("-") == ["in 1", "in 2"]
    os.lseek(0, 0, os.SEEK_SET)
    assert commands() == ["in 1", "in 2"]


def test_commands_as_arguments() -> None:
    """`:::` without a command, or with {} alone, takes each argument as a line for the shell."""
    assert commands(":::", "echo 'a b' | wc", "true") == ["echo 'a b' | wc", "true"]
    assert commands("{}", ":::", "echo a") == ["echo a"]


@posix
def test_shell_lines() -> None:
    """One word with blanks or characters of the shell is a line for it, with the arguments quoted."""
    assert commands("gzip {}", ":::", "a b", "$x") == ["gzip 'a b'", "gzip '$x'"]
    assert commands("ls|wc", ":::", "it's") == ["ls|wc 'it'\"'\"'s'"]
    assert commands("exit", ":::", "3") == ["exit 3"]


@posix
def test_a_program_with_a_blank_in_its_path(tmp_path: Path) -> None:
    """One word that is a program is no shell line, whatever its path has; nor is any with -q."""
    program = tmp_path / "my program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)

    assert commands(str(program), ":::", "a") == [(str(program), "a")]
    assert commands("no such", ":::", "a", as_it_stands=True) == [("no such", "a")]


@posix
def test_a_program_that_could_be_a_file_of_commands(tmp_path: Path, stdin: None) -> None:
    """A path of a program alone is refused, with both ways to write it."""
    program = tmp_path / "tool"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)

    with pytest.raises(SourceError, match=r"is a program: .* write -- before it; .* governess run - < ./tool"):
        make_plan(["./tool"])
    assert commands("./tool", is_command=True) == [("./tool", "in 1"), ("./tool", "in 2")]


@pytest.mark.parametrize(
    "words",
    [["e", ":::"], ["e", ":::", "a", ":::+"], ["e", "::::", "empty"], ["empty"], ["blank"], [":::"]],
)
def test_empty_lists(words: list[str]) -> None:
    """A list without anything in it is no error: nothing is run."""
    assert commands(*words) == []


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["e", "::::"], ":::: needs a file"),
        (["e", "::::", "nowhere"], "cannot read nowhere: No such file"),
        (["no-such-file"], "cannot read no-such-file: No such file .*, nor is it a program"),
        (["e", "{2}", ":::", "a"], "only one"),
    ],
)
def test_nothing_to_run(words: list[str], complaint: str) -> None:
    """What cannot be run is told in one line."""
    with pytest.raises(SourceError, match=complaint) as caught:
        make_plan(words)

    assert "\n" not in str(caught.value)


@posix
@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["echo", "{}", "|", "wc"], "'|' would go to echo as it stands.*'echo {} \\| wc'.*write -- before"),
        (["a", "{}", ">", "{}.out"], "'>' would go to a"),
        (["a", "2>/dev/null"], "'2>/dev/null' would go to a"),
        (["a", "&&", "b"], "'&&' would go to a"),
        (["a", ";", "b"], "';' would go to a"),
        (["cd", "{}"], "cd is a command of the shell: .*governess run 'cd {}'"),
        (["for", "x"], "for is a command of the shell"),
        (["A=1", "make"], "A=1 is an assignment.*'A=1 make'"),
    ],
)
def test_words_for_a_shell(words: list[str], complaint: str) -> None:
    """Words that only a shell understands are refused, and the text shows what to type; after `--` they stand."""
    with pytest.raises(SourceError, match=complaint):
        make_plan([*words, ":::", "x"])

    assert commands(*words, ":::", "x", is_command=True)[0][0] == words[0]


@posix
@pytest.mark.parametrize(
    "words",
    [["find", "{}", "-exec", "ls", ";"], ["grep", "<{}>"], ["awk", "{print $1}"], ["expr", "1", "*", "2"]],
)
def test_words_of_programs(words: list[str]) -> None:
    """Words that programs often take are passed on."""
    assert commands(*words, ":::", "x")[0][0] == words[0]


@posix
@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        (["sh", "-c", "echo {}"], "governess run 'echo {}'"),
        (["/bin/bash", "-ec", "echo {1}"], "governess run --shell bash 'echo {1}'"),
    ],
)
def test_pasting_into_code(words: list[str], remedy: str) -> None:
    """`sh -c` with an argument in its script is run, with a warning that shows the safe form."""
    plan = make_plan([*words, ":::", "x"])

    assert len(plan.warnings) == 1
    assert plan.warnings[0].endswith(remedy)


@posix
@pytest.mark.parametrize(
    "words", [["sh", "-c", "echo {#}"], ["sh", "-c", 'echo "$1"', "sh", "{}"], ["sh", "x", "-c", "{}"]]
)
def test_no_pasting(words: list[str]) -> None:
    """A number in a script, and an argument beside it, are no reason for a warning."""
    assert make_plan([*words, ":::", "x"]).warnings == []


@posix
@pytest.mark.parametrize(
    ("line", "is_warned"),
    [
        ("sh -c 'echo {}'", True),
        ('cd x; /bin/bash -ec "echo {}" y', True),
        ("eval 'echo {}'", True),
        ("eval {}", True),
        ("sh -c 'echo \"$1\"' sh {}", False),
        ("push -c {}", False),
        ("sh script -c {}", False),
        ("sh -c 'echo {#}'; echo {}", False),
        ("x={}; eval 'echo $x'", False),
    ],
)
def test_pasting_in_lines(line: str, is_warned: bool) -> None:
    """A line for the shell that hands an argument as code to another shell, or to eval, is warned of."""
    assert bool(make_plan([line, ":::", "x"]).warnings) == is_warned


@posix
def test_exported_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    """A function that bash has exported is run by bash, as a line or as words, which are quoted."""
    monkeypatch.setenv("BASH_FUNC_greet%%", "() {  echo hello $1\n}")

    plan = make_plan(["greet", "{}", ":::", "a b"])
    line = make_plan(["greet {}", ":::", "a b"])

    assert os.path.basename(plan.shell) == os.path.basename(line.shell) == "bash"
    assert [plan.command(item, 1) for item in plan.items()] == ["greet 'a b'"]
    assert [line.command(item, 1) for item in line.items()] == ["greet 'a b'"]


@posix
def test_shells() -> None:
    """Only shells that quote as sh does can run lines."""
    assert make_plan(["echo {}", ":::", "x"]).shell == "/bin/sh"
    assert make_plan(["echo {}", ":::", "x"], InputOptions(shell="bash")).shell.endswith("/bash")
    with pytest.raises(SourceError, match="--shell fish: arguments are quoted for"):
        make_plan(["echo {}", ":::", "x"], InputOptions(shell="fish"))


def test_combinations_are_made_when_needed() -> None:
    """A million combinations cost nothing until they are taken."""
    thousand = [str(number) for number in range(1000)]
    plan = make_plan(["e", *[":::", *thousand] * 4])

    assert plan.total == 10**12
    assert (item := plan.take()) is not None
    assert item.arguments == ("0", "0", "0", "0")


def test_columns() -> None:
    """--colsep splits arguments into columns, and blanks around them go with --trim."""
    form = Format(columns=re.compile(","), trim="lr")

    assert words_of("e", "{2}-{1}", ":::", "a, b", "c", form=form) == ["e b-a", "e -c"]


def test_header() -> None:
    """--header takes the names of columns from the first row of each source."""
    Path("table").write_text("name\tsize\nx\t1\ny\t2\n")
    form = Format(columns=re.compile("\t"))

    assert words_of("e", "{size}{name}", "::::", "table", form=form, header=True) == ["e 1x", "e 2y"]
    assert words_of("e", "{b}{a}", ":::", "a", "1", ":::", "b", "2", form=form, header=True) == ["e 21"]


def test_csv() -> None:
    """Rows of CSV may have separators, quotes and line ends in their fields."""
    Path("table").write_text('a,"b, ""c"""\n"d\ne",f\n')

    assert commands("e", "{2}", "{1}", "::::", "table", form=Format(csv=True)) == [
        ("e", 'b, "c"', "a"),
        ("e", "f", "d\ne"),
    ]


def test_broken_csv() -> None:
    """Input that is no CSV is told."""
    Path("table").write_text('"a\n')
    plan = make_plan(["e", "::::", "table"], InputOptions(form=Format(csv=True)))

    with pytest.raises(SourceError, match="the input is no CSV"):
        list(plan.items())


def test_delimiters() -> None:
    """Records end with NUL or any other bytes; any bytes survive."""
    Path("zero").write_bytes(b"a\nb\0\xc3\xa9 c\0")
    Path("commas").write_bytes(b"a,b\n")

    assert commands("e", "::::", "zero", form=Format(delimiter=b"\0")) == [("e", "a\nb"), ("e", "é c")]
    assert commands("e", "::::", "commas", form=Format(delimiter=b",")) == [("e", "a"), ("e", "b\n")]


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        (",", b","),
        (r"\t", b"\t"),
        (r"\0", b"\0"),
        (r"\x1f;", b"\x1f;"),
        (r"\012", b"\n"),
        ("\\\\", b"\\"),
        ("é", "é".encode()),
    ],
)
def test_delimiters_as_people_type_them(text: str, delimiter: bytes) -> None:
    """A delimiter is one or more characters, or escapes of them."""
    assert parse_delimiter(text) == delimiter


@pytest.mark.parametrize("text", ["", "\\", r"\q", r"\8", r"\x", r"\777"])
def test_no_delimiters(text: str) -> None:
    """Anything else is refused."""
    with pytest.raises(SourceError):
        parse_delimiter(text)


def test_empty_records() -> None:
    """Empty records are arguments; with -r they are left out."""
    Path("gaps").write_text("a\n\n  \nb")

    assert len(commands("e", "::::", "gaps")) == 4
    assert words_of("e", "::::", "gaps", form=Format(skip_empty=True)) == ["e a", "e b"]


def test_shuffled() -> None:
    """--shuf gives the same commands in another order."""
    arguments = [str(number) for number in range(200)]
    made = words_of("e", ":::", *arguments, shuffles=True)

    assert sorted(made) == sorted(f"e {argument}" for argument in arguments)
    assert made != [f"e {argument}" for argument in arguments]


def test_unreadable_file(tmp_path: Path) -> None:
    """A file that cannot be read is told with its name and the reason."""
    with pytest.raises(SourceError, match=r"cannot read .*nowhere: No such file"):
        make_plan(["e", "::::", str(tmp_path / "nowhere")])


@posix
def test_input_that_comes_later() -> None:
    """Items of a pipe are there as soon as their lines are, while the pipe is still open."""
    asyncio.run(input_that_comes_later())


async def input_that_comes_later() -> None:
    ours, theirs = os.pipe()
    os.write(theirs, b"a\nb")
    plan = make_plan(["e", "::::", f"/dev/fd/{ours}"])
    os.close(ours)

    await plan.wait()
    assert (item := plan.take()) is not None
    assert (item.arguments, plan.total, plan.is_ready) == (("a",), None, False)
    os.close(theirs)
    await plan.wait()
    assert (item := plan.take()) is not None
    assert item.arguments == ("b",)
    await plan.wait()
    assert (plan.take(), plan.total) == (None, 2)


def test_read_ahead_is_bounded() -> None:
    """What is read ahead stays below the limit until some is taken."""
    asyncio.run(read_ahead_is_bounded())


async def read_ahead_is_bounded() -> None:
    made = 0

    def numbers() -> Any:
        nonlocal made
        for made in range(1, 1001):  # noqa: UP028 - the loop counts for the test
            yield made

    ahead = ReadAhead(numbers(), 10)
    taken = []
    while True:
        await ahead.wait()
        if (number := ahead.take()) is None:
            break
        taken.append(number)
        assert made <= number + 11

    assert taken == list(range(1, 1001))


@pytest.mark.parametrize("delimiter", [b"b", b"ab", b"aa", b"aba", b"\r\n"])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_delimiters_between_two_reads(delimiter: bytes, size: int) -> None:
    """Records are the same however little is read at a time, also where a delimiter is read in parts."""

    class Slow(io.BytesIO):
        def read(self, count: int | None = -1, /) -> bytes:
            return super().read(size)

    for letters in itertools.product(sorted({*b"x", *delimiter}), repeat=5):
        text = bytes(letters)
        expected = text.decode().split(delimiter.decode())
        assert list(read_records(Slow(text), "input", delimiter)) == (expected if expected[-1] else expected[:-1])
