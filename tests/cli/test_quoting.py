"""Arguments in shell lines: whatever they are, they come in as they stand."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from governess.cli.run.inputs import ArgumentError, Fill, SourceError
from governess.cli.run.inputs.quoting import Place, quote
from governess.cli.run.inputs.templates import LineTemplate, Strings

if sys.platform == "win32":
    pytest.skip("needs sh", allow_module_level=True)

SHELLS = [shell for shell in ("sh", "bash") if shutil.which(shell)]

LINES = [
    "printf %s {}",
    'printf %s "{}"',
    "printf %s '{}'",
    "printf %s ''{}\"\"",
    'printf %s "$(printf %s {})"',
    'printf %s "$(printf %s "{}")"',
    "printf %s \"$(printf %s '{}')\"",
    'x={}; printf %s "$x"',
    'x="${y:-}{}"; printf %s "$x"',
    'printf %s "$(printf "%s" "$(printf %s {})")"',
    "(printf %s {})",
    "if true; then printf %s {}; fi",
    "printf %s {} | cat",
    'f() { printf %s "$1"; }; f {}',
    'printf %s "$((1 + 1))" >/dev/null; printf %s {}',
    "cat <<<'' >/dev/null 2>&1; printf %s {}",
    ": a#b; printf %s {}",
    ': \\" ; printf %s {}',
    ": 'a\"b' \"c'd\"; printf %s {}",
    "printf %s \\\n{}",
]

NASTY = [
    "", " ", "a b", "-n", "--", "*", "~", "#", "$HOME", "`id`", "$(id)", "'", '"', "''", "'\"'", "\\", "\\\\", "\\'",
    "a\nb", "\n", "a\tb", ";id", "|id", "&", "> x", "=ls", "!", "!!", "{a,b}", "[a]", "%s", "\x1b[1m", "é", "if",
    "done", "$'\\x41'", "a\\", "\\$x", "\r\n", "\udcff\udcfe", "'$(id)'", "\"$(id)\"", "';id;'", '";id;"', "\\\n",
]  # fmt: skip


def output_of(line: str, shell: str) -> bytes:
    return subprocess.run([shell, "-c", os.fsencode(line)], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL).stdout


def without_last_lines(data: bytes) -> bytes:
    """As `$(…)` removes them, in which some of the lines put the argument."""
    return data.rstrip(b"\n")


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("line", LINES)
def test_nasty_arguments(shell: str, line: str) -> None:
    """Each argument comes out of each line as it went in."""
    if "<<<" in line and shell == "sh":
        pytest.skip("sh may have no here-strings")
    template = LineTemplate.parse(line, Strings(1))
    # One shell for all of them: each runs in a subshell, and writes after a mark.
    script = "".join(f"(\n{template.fill((argument,), 1, 1)}\n)\nprintf '\\001'\n" for argument in NASTY)

    outputs = output_of(script, shell).split(b"\1")[:-1]

    assert [without_last_lines(os.fsencode(argument)) for argument in NASTY] == list(map(without_last_lines, outputs))


TEXTS = st.text(st.characters(exclude_characters="\0\1", exclude_categories=["Cs"]), max_size=8) | st.text(
    st.sampled_from(list("'\"\\$`(){}[];|&<>#!~*?= \n\tax")), max_size=12
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(line=st.sampled_from(LINES), argument=TEXTS)
def test_any_argument(line: str, argument: str) -> None:
    """So does any text."""
    shell = "bash"
    template = LineTemplate.parse(line, Strings(1))

    out = output_of(template.fill((argument,), 1, 1), shell)

    assert without_last_lines(os.fsencode(argument)) == without_last_lines(out)


PIECES = [
    "{}",
    "'",
    '"',
    "\\",
    "$",
    "`",
    "(",
    ")",
    "$(",
    "$((",
    "))",
    "{",
    "}",
    "${x",
    " ",
    "\n",
    "#",
    ";",
    "<<E",
    "echo",
    "a",
]
MARK = "governess-was-here"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pieces=st.lists(st.sampled_from(PIECES), min_size=1, max_size=8),
    argument=st.sampled_from(
        [f"$(touch {MARK})", f"`touch {MARK}`", f"';touch {MARK};'", f'";touch {MARK};"', f"\ntouch {MARK}\n",
         f"\\'; touch {MARK} #", f") touch {MARK} (", f"x[$(touch {MARK})]", f"}};touch {MARK};{{",
         f"E\ntouch {MARK}\n"]
    ),
)  # fmt: skip
def test_no_line_runs_an_argument(pieces: list[str], argument: str, tmp_path: Path) -> None:
    """Whatever the line, an argument in it is never run as code: the line is refused, or the argument is quoted."""
    try:
        line = LineTemplate.parse("".join(pieces), Strings(1)).fill((argument,), 1, 1)
    except (SourceError, ArgumentError):
        return
    for shell in SHELLS:
        subprocess.run([shell, "-c", line], cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, timeout=20)

        assert list(tmp_path.iterdir()) == [], f"{shell} -c {line!r}"


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("echo `cat {}`", "inside backquotes: use"),
        ("cat <<E\n{}\nE", "beside a here-document"),
        ("echo a # {}", "in a comment"),
        ("echo ${x:-{}}", "inside ${…}"),
        ("echo $'{}'", "inside $'…'"),
        ("echo ${}", "directly after \\$"),
        ("echo \\{}", "directly after a backslash"),
        ('echo "$(case x in x) echo {};; esac)"', "after 'case'"),
        ("echo $[{}]", "after \\$\\["),
        ("echo 'a {}", 'never closes "\'"'),
        ('echo "a {}', "never closes '\"'"),
        ("echo $(a {}", r"never closes '\$\('"),
        ("echo `a; {}", "never closes '`'"),
    ],
)
def test_refused_places(line: str, complaint: str) -> None:
    """A place where an argument cannot be quoted is refused before anything runs, with what to write instead."""
    complaint = complaint.replace("${…}", r"\$\{…\}").replace("$'…'", r"\$'…'")
    with pytest.raises(SourceError, match=complaint):
        LineTemplate.parse(line, Strings(1))


def test_arithmetic() -> None:
    """A number can be put into an arithmetic expression, and nothing else."""
    template = LineTemplate.parse("echo $(({} * 2))", Strings(1))

    assert output_of(template.fill(("21",), 1, 1), "sh") == b"42\n"
    assert output_of(template.fill(("-21",), 1, 1), "sh") == b"-42\n"
    with pytest.raises(ArgumentError, match="is no number"):
        template.fill(("x[$(id)]",), 1, 1)


@pytest.mark.parametrize(
    ("fill", "line", "filled"),
    [
        (Fill.REPEAT, "echo x{}y >{#}", "echo x1y x'2 3'y >7"),
        (Fill.REPEAT, "echo {};ls {}", "echo 1 '2 3';ls 1 '2 3'"),
        (Fill.REPEAT, 'echo "a {} b" {}', 'echo "a 1 b" "a 2 3 b" 1 \'2 3\''),
        (Fill.REPEAT, "echo {2}{1}", "echo '2 3'1"),
        (Fill.SPREAD, "echo x{}y", "echo x1 '2 3'y"),
        (Fill.JOIN, 'echo "{}" {}', "echo \"1 2 3\" 1 '2 3'"),
        (Fill.REPEAT, "wc", "wc 1 '2 3'"),
    ],
)
def test_several_arguments(fill: Fill, line: str, filled: str) -> None:
    """Words of the shell are repeated for each argument (-X), or get all of them (-m)."""
    assert filled == LineTemplate.parse(line, Strings(), fill).fill(("1", "2 3"), 7, 1)


@pytest.mark.parametrize("value", ['a"b', "%PATH%", "a\nb", "wow!"])
def test_cmd(value: str) -> None:
    """What cannot be quoted for cmd.exe is refused; blanks and operators are quoted."""
    with pytest.raises(ArgumentError, match=r"cannot be quoted for cmd\.exe"):
        quote([value], Place.CMD)
    assert quote(["a b", "x", "a&b", "c:\\d e\\"], Place.CMD) == '"a b" x "a&b" "c:\\d e\\\\"'
