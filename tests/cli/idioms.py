"""What users of GNU parallel type: the same words are run by GNU parallel and by `governess run`.

`python tests/cli/idioms.py` runs GNU parallel, keeps what came of it in idioms.json, and writes the table of
docs/from-gnu-parallel.md.
"""

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RECORDING = Path(__file__).with_suffix(".json")
DOCS = Path(__file__).parents[2] / "docs" / "from-gnu-parallel.md"

ARGUMENTS = [
    *("a b", "it's", '"quoted"', "$HOME", "`id`", "$(id)", "*", "?", "~", "-n", "--help", "a;b", "a|b", "a&b", "a>b"),
    *(
        "#x",
        "back\\slash",
        "\\n",
        "é",
        "\udcff\udcfe",
        "{a,b}",
        "[ab]",
        "!",
        "%s",
        "dir/sub dir/name.tar.gz",
        ".hidden",
    ),
]
"""A line each of the file `args`."""


@dataclass(frozen=True)
class Idiom:
    """One way to use GNU parallel.

    Attributes:
        topic: what it is for.
        command: a line for the shell, with PARALLEL for the program.
        instead: how it is written for governess, if that differs, with the same PARALLEL.
        differs: why the results differ on purpose; "" if they do not.
    """

    topic: str
    command: str
    instead: str = ""
    differs: str = ""

    def for_parallel(self) -> str:
        return self.command.replace("PARALLEL", "parallel")

    def for_governess(self) -> str:
        return (self.instead or self.command).replace("PARALLEL", "governess run")


IDIOMS = [
    Idiom("one command for each argument", "PARALLEL -k show {} ::: a 'b c' \"it's\" '*' -n"),
    Idiom("the argument is appended", "PARALLEL -k show ::: a 'b c' '' -x"),
    Idiom("arguments from a file", "PARALLEL -k -a args show {}"),
    Idiom("", "PARALLEL -k show {} :::: args"),
    Idiom("arguments from standard input", "cat args | PARALLEL -k show {}"),
    Idiom("", "cat args | PARALLEL -k show"),
    Idiom("", "cat args | PARALLEL -k show {} :::: -"),
    Idiom("arguments that end with NUL", "cat args0 | PARALLEL -0 -k show {}"),
    Idiom("another delimiter", "printf 'a,b c,d' | PARALLEL -d , -k show {}"),
    Idiom("", "printf 'a\\tb c\\td' | PARALLEL -d '\\t' -k show {}"),
    Idiom("no empty arguments", "printf 'a\\n\\n  \\nb\\n' | PARALLEL -r -k show {}"),
    Idiom("an empty list", "PARALLEL echo < /dev/null"),
    Idiom("a line for the shell", "PARALLEL -k 'show {} | tr a-z A-Z; show end' :::: args"),
    Idiom("", "cat args | PARALLEL -k 'show {} | wc -c'"),
    Idiom("", "cat args0 | PARALLEL -0 -k 'x={}; printf %s \"$x\" | wc -c'"),
    Idiom("", "PARALLEL -k 'for i in 1 2; do show $i {}; done' ::: a 'b c'"),
    Idiom("", "PARALLEL -k 'show {} > {#}.out; cat {#}.out' ::: a 'b c'"),
    Idiom("", "PARALLEL -k 'test {} = yes && show {} || show not {}' ::: yes 'no no'"),
    Idiom("", "PARALLEL -k 'show $(({} * 2))' ::: 1 2 3"),
    Idiom("a file of commands", "PARALLEL -k < commands", "PARALLEL -k commands"),
    Idiom("", "cat commands | PARALLEL -k", "cat commands | PARALLEL -k"),
    Idiom("", "PARALLEL -k -a commands"),
    Idiom("arguments that are commands", "PARALLEL -k ::: 'show a | wc -c' 'show b; exit 3'"),
    Idiom("", "PARALLEL -k {} ::: 'show a | wc -c' 'exit 2'"),
    Idiom("an exported function", "greet() { show hello \"$1\"; }; export -f greet; PARALLEL -k greet {} ::: a 'b c'"),
    Idiom("", "greet() { show hello \"$1\"; }; export -f greet; PARALLEL -k 'greet {} | wc -c' :::: args"),
    Idiom("every combination", "PARALLEL -k show {1} {2} ::: a 'b c' ::: 1 2 3"),
    Idiom("", "PARALLEL -k show ::: a b ::: 1 2 ::: x y"),
    Idiom("", "PARALLEL -k show {2}-{1} :::: args ::: 1 2"),
    Idiom("linked arguments", "PARALLEL -k show {1} {2} ::: a b c :::+ 1 2 3"),
    Idiom("", "PARALLEL -k --link show {1} {2} ::: a b c ::: 1 2"),
    Idiom("", "PARALLEL -k --link show :::: args args"),
    Idiom("parts of a path", "PARALLEL -k show {} {.} {/} {//} {/.} :::: args"),
    Idiom("", "PARALLEL -k --plus show {..} {...} {+/} {+.} {+..} {/..} ::: dir/a.b.tar.gz x",
          "PARALLEL -k show {..} {...} {+/} {+.} {+..} {/..} ::: dir/a.b.tar.gz x"),
    Idiom("", "PARALLEL -k show {1/.} {2//} {1.} {-1/} ::: d/a.b ::: e/c.d"),
    Idiom("numbers", "PARALLEL -k -j1 show {#} {%} {} ::: a b c"),
    Idiom("columns", "PARALLEL -k --colsep , show {2} {1} ::: 'a, b' 'c,d'"),
    Idiom("", "PARALLEL -k -C '\\t' show {3}{1} :::: table.tsv"),
    Idiom("", "PARALLEL -k --colsep , --trim n show {2} ::: 'a, b'"),
    Idiom("columns with names", "PARALLEL -k --header : show {size} {name} :::: table.tsv"),
    Idiom("", "PARALLEL -k --header : show {y}{x} ::: x 1 2 ::: y a b"),
    Idiom("", "PARALLEL -k --header : --colsep , show {b} {a} :::: table.csv"),
    Idiom("CSV", "PARALLEL -k --csv show {2} {1} :::: quoted.csv"),
    Idiom("", "PARALLEL -k --csv --header : show {text} {id} :::: quoted.csv"),
    Idiom("several arguments for a command", "PARALLEL -k -n 2 show {} ::: a b c"),
    Idiom("", "PARALLEL -k -N 2 show {1} {2} ::: a b c"),
    Idiom("", "cat args | PARALLEL -k -n 4 show"),
    Idiom("", "cat args | PARALLEL -k -L 3 show x"),
    Idiom("", "PARALLEL -k -n 2 show x{}y {#} ::: 1 2 3"),
    Idiom("", "PARALLEL -k -N 0 show x ::: a b"),
    Idiom("as many as fit", "cat args | PARALLEL -k -j 1 -X show x{}y"),
    Idiom("", "cat args | PARALLEL -k -j 3 -X show {}"),
    Idiom("", "PARALLEL -k -j 1 -m show x{}y ::: 1 2 3"),
    Idiom("", "cat args | PARALLEL -k -j 3 --xargs show"),
    Idiom("another replacement string", "PARALLEL -k -I % show %.png {.} ::: a.b 'c d'"),
    Idiom("", "PARALLEL -k -I ,, 'show ,, {}' ::: a 'b c'"),
    Idiom("input for commands", "seq 20 | PARALLEL --pipe -k -N 6 wc -l"),
    Idiom("", "seq 1000 | PARALLEL --pipe -k --block 1000 wc -c"),
    Idiom("", "seq 1000 | PARALLEL --pipe -k --block 1K 'sort -r | head -n 1; show {#}'"),
    Idiom("", "cat args | PARALLEL --pipe -k -L 3 -N 2 cat -A"),
    Idiom("", "PARALLEL --pipe -k --header : -N 1 cat < table.csv"),
    Idiom("", "PARALLEL --pipe -k --recstart '>' -N 1 'tr \"\\n\" ,; echo' < records"),
    Idiom("", "printf 'a,b,c' | PARALLEL --pipe -k --recend , -N 1 --rrs 'cat; echo'"),
    Idiom("tags", "PARALLEL -k --tag show :::: args"),
    Idiom("", "PARALLEL -k --tagstring '{#}-{/}' 'show {}; show 2' ::: d/a 'd/b c'"),
    Idiom("the commands themselves", "PARALLEL -k --dry-run show {} ::: a 'b c' \"it's\" '$x'"),
    Idiom("", "head -n 20 args | PARALLEL -k --dryrun 'show {} | wc -c > {.}.n'"),
    Idiom("", "PARALLEL -k -v show {} ::: a 'b c'"),
    Idiom("other ways to write output", "PARALLEL -j 1 -u show ::: a b"),
    Idiom("", "PARALLEL -j 1 --line-buffer show ::: a b"),
    Idiom("", "PARALLEL -j 1 --group show ::: a b"),
    Idiom("how many at once", "PARALLEL -k -j +1 show ::: a b"),
    Idiom("", "PARALLEL -k -P 200% show ::: a b"),
    Idiom("in random order", "seq 5 | PARALLEL --shuf -j 1 show | sort"),
    Idiom("words that are passed on as they stand", "PARALLEL -q -k awk 'BEGIN { print ARGV[1] }' {} ::: a 'b c'"),
    Idiom("", "PARALLEL -k -q perl -e 'print \"$ARGV[0]\\n\"' :::: args"),
    Idiom("exit status: none failed", "PARALLEL true ::: a b"),
    Idiom("exit status: how many failed", "PARALLEL 'exit {}' ::: 0 1 2 255"),
    Idiom("", "PARALLEL exit ::: 1 0 2"),
    Idiom("exit status: more than 100 failed", "seq 120 | PARALLEL -j 8 false"),
    Idiom("exit status: a signal", "PARALLEL 'kill -9 $$' ::: a b"),
    Idiom("the end of the run", "PARALLEL -j 1 --halt now,fail=1 'show {}; exit {}' ::: 0 3 0"),
    Idiom("", "PARALLEL -j 1 --halt soon,fail=2 'show {}; exit {}' ::: 1 1 0"),
    Idiom("", "PARALLEL -j 1 --halt now,success=1 'show {}; exit {}' ::: 1 0 0"),
    Idiom("", "PARALLEL --halt never 'exit {}' ::: 1 0 1"),
    Idiom("a limit of time", "PARALLEL -k --timeout 1 'show {}; sleep {}' ::: 0 9"),
    Idiom("several tries", "PARALLEL -k --retries 2 'echo >> tried-{}; test $(wc -l < tried-{}) = 2' ::: a b"),
    Idiom("pauses between starts", "PARALLEL -k --delay 0.1 show ::: a b"),
    Idiom("a log of all commands", "PARALLEL -j 1 --joblog log 'exit {}' ::: 0 3; cut -f 1,7,8,9 log"),
    Idiom("a folder of outputs",
          "PARALLEL -k --results out 'show {}; show 2 >&2' ::: a 'b c' > /dev/null; find out -type f | sort"),
    Idiom("", "PARALLEL -k --results out show ::: a ::: 1 > /dev/null; cat out/1/a/2/1/stdout"),
    Idiom("another folder", "PARALLEL --wd / pwd ::: ''"),
    Idiom("a command that does not exist", "PARALLEL no-such-command ::: a b"),
    Idiom("a wrong call", "PARALLEL --no-such-option ::: a > out 2>&1"),
    Idiom("a file that does not exist", "PARALLEL -a nowhere show"),
    Idiom(
        "an argument in double quotes",
        "PARALLEL -k 'show \"{}\"' ::: 'a b' '$x'",
        differs="governess quotes it for that place; GNU parallel puts quotes into the quotes, and runs `$(…)` in it",
    ),
    Idiom(
        "words that only a shell understands",
        "PARALLEL -k show {} '|' wc -c ::: a",
        "PARALLEL -k 'show {} | wc -c' ::: a",
    ),
    Idiom(
        "code that an argument is pasted into",
        "PARALLEL -k sh -c \"'show {}'\" ::: a",
        "PARALLEL -k 'show {}' ::: a",
    ),
]  # fmt: skip


def prepare(folder: Path) -> None:
    """Put into a folder what the idioms use; `show` writes each of its arguments in brackets."""
    (folder / "args").write_bytes(os.fsencode("".join(f"{argument}\n" for argument in ARGUMENTS)))
    (folder / "args0").write_bytes(
        os.fsencode("".join(f"{argument}\0" for argument in [*ARGUMENTS, "two\nlines", "\n"]))
    )
    (folder / "commands").write_text("show 'a  b' | tr a-z A-Z\nshow $((6 * 7)); exit 3\nshow last\n")
    (folder / "table.tsv").write_text("name\tsize\tkind\na b\t1\tx\nc\t2\ty z\n")
    (folder / "table.csv").write_text("a,b\n1,2\n3,4\n")
    (folder / "quoted.csv").write_text('id,text\n1,"a, ""b"""\n2,"two\nlines"\n')
    (folder / "records").write_text(">a\n1\n>b\n2\n3\n>c\n4\n")
    show = folder / "bin" / "show"
    show.parent.mkdir()
    show.write_text("#!/bin/sh\nprintf '[%s]' \"$@\"\necho\n")
    show.chmod(0o755)


def run(line: str, programs: Sequence[str] = ()) -> dict[str, Any]:
    """Run a line by bash in a new folder, with the folders of programs first in PATH.

    Returns:
        Its output, one character a byte, and its exit status.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder)
        (folder / "home").mkdir()
        (folder / "home" / ".parallel").mkdir()
        (folder / "home" / ".parallel" / "will-cite").touch()
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env={
                **os.environ,
                "PATH": os.pathsep.join((str(folder / "bin"), *programs, os.environ["PATH"])),
                "HOME": "/home/of-a-user",
                "PARALLEL_HOME": str(folder / "home" / ".parallel"),
                "PARALLEL_SHELL": "/bin/bash" if "export -f" in line else "/bin/sh",
                "LC_ALL": "C.UTF-8",
            },
            timeout=60,
        )
    return {"output": done.stdout.decode("latin-1"), "status": done.returncode}


def recorded() -> dict[str, Any]:
    """Return what GNU parallel has made of the idioms, and its version."""
    found: dict[str, Any] = json.loads(RECORDING.read_text())
    return found


def table(results: dict[str, Any]) -> str:
    """Return the table for the docs."""
    lines = ["| | GNU parallel | governess | results |", "|---|---|---|---|"]
    for idiom in IDIOMS:
        ours = _code(idiom.for_governess()) if idiom.instead else "`governess run`, with the same words"
        lines.append(f"| {idiom.topic} | {_code(idiom.for_parallel())} | {ours} | {idiom.differs or 'same'} |")
    assert set(results) == {idiom.command for idiom in IDIOMS}
    return "\n".join(lines) + "\n"


def _code(text: str) -> str:
    text = text.replace("|", "\\|")
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def with_table(page: str, recording: dict[str, Any]) -> str:
    """Return the page of the docs with the table in its place, and the version of GNU parallel."""
    start, _, rest = page.partition("<!-- table -->\n")
    _, _, end = rest.partition("<!-- end of the table -->\n")
    text = f"{start}<!-- table -->\n{table(recording['results'])}<!-- end of the table -->\n{end}"
    return re.sub(r"GNU parallel \d{8}", f"GNU parallel {recording['version']}", text)


def main() -> None:
    """Run GNU parallel, and write what came of it."""
    version = subprocess.run(["parallel", "--version"], capture_output=True, text=True).stdout.split()[2]
    results = {idiom.command: run(idiom.for_parallel()) for idiom in IDIOMS}
    recording = {"version": version, "results": results}
    RECORDING.write_text(json.dumps(recording, indent=1, ensure_ascii=True) + "\n")
    DOCS.write_text(with_table(DOCS.read_text(), recording))


if __name__ == "__main__":
    main()
