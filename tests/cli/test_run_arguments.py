"""What users of GNU parallel and xargs type, and what `governess run` answers if it has no such thing."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from governess.cli.app import invoke
from governess.cli.run.foreign import explain, similar

from .conftest import Run, Start

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs sh")


@posix
def test_a_line_for_the_shell(governess: Run) -> None:
    """One word with blanks is a line for the shell, and its arguments come in quoted."""
    done = governess("run", "-k", "printf '%s|' {} | tr a-z A-Z", input="a b\n$(touch evil)\n'\n")

    assert (done.returncode, done.stdout) == (0, "A B|$(TOUCH EVIL)|'|")


@posix
def test_pasting_is_warned_of_once(governess: Run) -> None:
    """`sh -c` with an argument in its code runs, and is warned of once, with the safe form."""
    done = governess("run", "sh", "-c", "echo {}", ":::", *"abc")

    assert sorted(done.stdout.split()) == ["a", "b", "c"]
    assert done.stderr.count("warning: sh -c pastes {} into code") == 1
    assert "governess run 'echo {}'" in done.stderr


@posix
def test_a_line_that_the_shell_cannot_read(governess: Run) -> None:
    """A mistake in the line is told once, and nothing runs."""
    done = governess("run", "if true; echo {}", ":::", *"abc")

    assert (done.returncode, done.stdout) == (255, "")
    assert done.stderr.startswith("governess run: the shell cannot read the line: ")
    assert done.stderr.count("\n") == 1


@posix
@pytest.mark.parametrize(
    ("line", "sources", "expected"),
    [
        ("case {} in a) echo one;; *) echo other;; esac", [":::", "a", "b"], "one\nother\n"),
        ("case {1} in a) echo {2};; *) echo other;; esac", [":::", "a", "b", ":::", "c"], "c\nother\n"),
        ("cat <{9}", [":::", "1,2,3,4,5,6,7,8,/dev/null"], ""),
    ],
)
def test_a_line_that_takes_one_word(governess: Run, line: str, sources: list[str], expected: str) -> None:
    """A line is read with as many words in it as an argument makes."""
    done = governess("run", "-k", "--quiet", "--colsep", ",", line, *sources)

    assert (done.stdout, done.stderr) == (expected, "")


@posix
def test_an_argument_that_cannot_be_put_in(governess: Run) -> None:
    """An argument that is no number is refused for an arithmetic expression; the others run."""
    done = governess("run", "-k", "echo $(({} + 1))", ":::", "1", "x[$(id)]", "2")

    assert (done.returncode, done.stdout) == (1, "2\n3\n")
    assert "is no number, so it cannot be put into $((…))" in done.stderr


@posix
@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_exported_functions(tmp_path: Path) -> None:
    """A function that bash has exported is a command, in words and in a line."""
    script = f"""
    greet() {{ echo "hello $1"; }}; export -f greet
    {sys.executable} -m governess run -k greet {{}} ::: 'a  b' c
    seq 2 | {sys.executable} -m governess run -k 'greet {{}} | wc -c'
    """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True)

    assert done.stdout.split("\n") == ["hello a  b", "hello c", "8", "8", ""]


@posix
@pytest.mark.parametrize(
    ("words", "output"),
    [
        (["-0", "echo"], "a b\n,c\n"),
        (["-0", "-n2", "echo"], "a b ,c\n"),
        (["-0", "-I", "%", "echo", "%%"], "a ba b\n,c,c\n"),
        (["-0", "-P", "1", "echo", "x"], "x a b\nx ,c\n"),
        (["-d", ",", "-k", "echo"], "a b\n\nc\n\n"),
    ],
)
def test_options_of_xargs(start: Start, words: list[str], output: str) -> None:
    """xargs's -0, -d, -n, -I and -P do here what they do there."""
    process = start("run", "--quiet", "-k", *words, stdin=subprocess.PIPE)
    stdout, _ = process.communicate(b"a b\0,c\0" if "-0" in words else b"a b\n,c\n")

    assert (process.returncode, stdout.decode()) == (0, output)


@posix
def test_pipe(start: Start) -> None:
    """--pipe gives each command a block of whole lines; all of the input arrives, once, and in order with -k."""
    data = b"".join(b"%d\n" % number for number in range(300_000))
    process = start("run", "--quiet", "-k", "--pipe", "--block", "100K", "cat", stdin=subprocess.PIPE)
    stdout, stderr = process.communicate(data)

    assert (process.returncode, stdout == data, stderr) == (0, True, b"")


@posix
def test_input_is_read_while_commands_run(start: Start) -> None:
    """The first command runs while the input has not ended."""
    process = start("run", "--quiet", "echo", stdin=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"first\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"first\n"
    process.stdin.write(b"second\n")
    process.stdin.close()
    assert process.stdout.read() == b"second\n"
    assert process.wait() == 0


@posix
@pytest.mark.parametrize(
    "words",
    [
        ["true", ":::"],
        ["true"],
        ["-"],
        [],
        ["true", "::::", os.devnull],
        ["-a", os.devnull, "true"],
        ["--pipe", "cat"],
        ["-X", "true"],
    ],
)
def test_an_empty_list(governess: Run, words: list[str]) -> None:
    """An empty list is exit status 0, and a line says that nothing was run."""
    done = governess("run", *words)

    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "governess run: nothing to run: the list is empty\n"


@posix
def test_nul_in_an_argument(governess: Run) -> None:
    """An argument with NUL cannot be passed on; a line says so, and what is there for such input."""
    assert "an argument holds NUL, which no program can get; for input that ends with NUL there is -0" in (
        governess("run", "echo", input="a\0b\n").stderr
    )


@posix
@pytest.mark.parametrize(
    ("words", "text", "complaint"),
    [
        (["--csv", "echo"], 'a\n"b\n', "the input is no CSV: unexpected end of data"),
        (
            ["echo"],
            "x" * 17_000_000,
            "a record of standard input is longer than 16777216 bytes: is the delimiter right?",
        ),
        (["-a", ".", "echo"], "", "cannot read .: Is a directory"),
    ],
)
def test_broken_input(governess: Run, words: list[str], text: str, complaint: str) -> None:
    """Input that cannot be read any further is told in one line, with status 255."""
    done = governess("run", "--quiet", *words, input=text)

    assert (done.returncode, done.stderr) == (255, f"governess run: {complaint}\n")


@posix
def test_dry_run(governess: Run, tmp_path: Path) -> None:
    """--dry-run writes the commands as they could be typed, and runs none."""
    done = governess("run", "--dry-run", "touch", "{}", ":::", "a b", "it's")
    line = governess("run", "--dry-run", "touch {}; rm {}", ":::", "a b")

    assert done.stdout == "touch 'a b'\ntouch 'it'\"'\"'s'\n"
    assert line.stdout == "touch 'a b'; rm 'a b'\n"
    assert (done.stderr, list(tmp_path.iterdir())) == ("", [])


@pytest.mark.windows
@pytest.mark.parametrize(
    ("words", "text"),
    [
        (
            ["-S", "host", "x"],
            "-S of GNU parallel and xargs does not exist here: commands run on other machines by way of",
        ),
        (["--sshlogin", "host"], "--sshlogin of GNU parallel and xargs does not exist here"),
        (["--files", "x"], "--files of GNU parallel and xargs does not exist here: use --results DIR"),
        (["-i", "x"], "-i of GNU parallel and xargs does not exist here: use -I STRING"),
        (["--jl", "x"], "--jl of GNU parallel and xargs does not exist here: use --joblog FILE"),
        (["--round-robin"], "does not exist here: --pipe gives each command one block"),
        (["--rpl", "x"], "the replacement strings have fixed names"),
        (["echo", "{= s/a/b/ =}", ":::", "x"], "{= s/a/b/ =} is Perl, which governess does not run; use {.}, {/}"),
        (["--jbos", "3"], "No such option: --jbos; did you mean --jobs? (see --help)"),
        (["--bogus"], "No such option: --bogus (see --help)"),
        (["-Z"], "No such option: -Z (see --help)"),
        (["-0", "-d", ",", "x"], "-0 and -d contradict each other: give one of them"),
        (["-n2", "-L2", "x"], "-n, -N and -L each say how many arguments a command gets"),
        (["-u", "-k", "x"], "-k needs the output of the commands, and with -u they write it themselves"),
        (["-u", "--tag", "x"], "tags need the output of the commands, and with -u they write it themselves"),
        (["--group", "--line-buffer", "x"], "--group and --line-buffer contradict each other"),
        (["--block", "1M", "x"], "--block is for --pipe, which is not given"),
        (["--pipe", "--colsep", ",", "cat"], "--colsep is about arguments, and with --pipe there are none"),
        (["--pipe"], "--pipe needs a command"),
        (["--pipe", "cat", ":::", "x"], "--pipe gives the input to the commands: leave ::: out"),
        (["--csv", "--colsep", "ab", "x"], "--csv has one character between columns"),
        (["-C", "(", "x"], "'(' is no regular expression"),
        (["-C", "|", "x"], "'|' is a regular expression that matches nothing: did you mean"),
        (["-d", "\\q", "x"], "is no character: write it as it stands, or an escape such as"),
        (["--header", "x", "y"], "the header is the first line, --header :"),
        (["-d", "", "x"], "-d needs a delimiter"),
        (["-j", "1x", "x"], "'1x' is neither a number, nor a percentage of the processors, nor +1 or -1"),
        (["--shell", "fish", "a b", ":::", "x"], "--shell fish: arguments are quoted for"),
    ],
)
def test_what_to_type_instead(words: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What does not exist here is told in one line, with what to type instead, and nothing runs."""
    status = invoke(["run", *words])
    out, err = capsys.readouterr()

    assert (status, out) == (255, "")
    assert text in err
    assert err.count("\n") == 1


@pytest.mark.windows
def test_options_that_do_nothing(governess: Run) -> None:
    """GNU parallel's --plus and --will-cite are accepted: what they ask for is always so."""
    done = governess("run", "--plus", "--will-cite", sys.executable, "-c", "print(1)", "{#}", ":::", "a")

    assert (done.returncode, done.stdout) == (0, "1\n")


@pytest.mark.windows
@pytest.mark.parametrize(
    ("option", "hint"),
    [
        ("--keep-ordr", "; did you mean --keep-order?"),
        ("--dry", "; did you mean --dry-run?"),
        ("--bogus", ""),
        ("-z", ""),
    ],
)
def test_suggestions(option: str, hint: str) -> None:
    """Only an option that is written much alike is suggested."""
    assert hint == similar(option, ["--jobs", "--keep-order", "--dry-run", "-k"])


@pytest.mark.windows
def test_no_option_is_both_here_and_foreign() -> None:
    """No option that exists here is told not to exist."""
    from governess.cli.run.command import command

    assert [option for parameter in command.params for option in parameter.opts if explain(option)] == []


@posix
def test_reading_from_a_terminal() -> None:
    """Where arguments come from the terminal, a line says so."""
    from tests.terminals import OnTerminal

    with OnTerminal(sys.executable, "-m", "governess", "run", "echo", "got", "{}") as terminal:
        terminal.wait_for("reading arguments from the terminal; Ctrl-D on a line of its own ends them")
        terminal.type("a b\n\x04")
        terminal.wait_for("got a b\n")
        assert terminal.wait_for_end() == 0


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs /proc")
def test_many_arguments_start_soon() -> None:
    """50,000 arguments delay the first command by less than 0.2 seconds of processor time, and need little memory."""
    code = """if True:
        import re, sys, time
        from governess.cli.run.command import command
        from governess.cli.run.inputs import make_plan
        words = ["true", "{}", ":::", *map(str, range(int(sys.argv[1])))]
        before = time.process_time()
        context = command.make_context("run", words)
        plan = make_plan(context.params["words"])
        item = plan.take()
        plan.command(item, 1)
        seconds = time.process_time() - before
        print(seconds, re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
    """
    few, many = (
        subprocess.run([sys.executable, "-c", code, count], capture_output=True, text=True).stdout.split()
        for count in ("1", "50000")
    )

    assert float(many[0]) - float(few[0]) < 0.2
    assert int(many[1]) < 60 * 1024


@posix
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(governess: Run, shell: str) -> None:
    """Each shell gets a script for the completion of words, which knows the options and files."""
    script = governess(env={"_GOVERNESS_COMPLETE": f"{shell}_source"})
    answer = governess(
        env={
            "_GOVERNESS_COMPLETE": f"{shell}_complete",
            "COMP_WORDS": "governess run --keep",
            "COMP_CWORD": "2" if shell != "fish" else "--keep",
        }
    )
    files = governess(
        env={
            "_GOVERNESS_COMPLETE": f"{shell}_complete",
            "COMP_WORDS": "governess run gz",
            "COMP_CWORD": "2" if shell != "fish" else "gz",
        }
    )

    assert "_GOVERNESS_COMPLETE" in script.stdout
    assert "--keep-order" in answer.stdout
    assert "--keeporder" not in answer.stdout
    assert "file" in files.stdout
