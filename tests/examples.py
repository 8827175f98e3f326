"""What runs the examples in Markdown: `python` blocks as Python, the `$` lines of `console` blocks by sh."""

import os
import re
import subprocess
import tempfile
from importlib.util import find_spec
from typing import Any

from sybil import Example
from sybil.evaluators.python import pad
from sybil.parsers.myst import CodeBlockParser, SkipParser

from forked import Starts
from governess.children._spawn import can_die_with_parent, describe


def prepare(namespace: dict[str, Any]) -> None:
    """Give an example's `<!-- skip: next if(…) -->` what it may ask."""
    namespace["has_native_spawner"] = describe()[0] == "native"
    namespace["can_die_with_parent"] = can_die_with_parent()
    namespace["has_dask"] = find_spec("distributed") is not None
    namespace["has_aiohttp"] = find_spec("aiohttp") is not None


def run_python(example: Example) -> None:
    """Run a block in a namespace of its own, as if it were pasted alone."""
    __tracebackhide__ = True
    source = pad(example.parsed, example.line + example.parsed.line_offset)
    exec(compile(source, example.path, "exec", dont_inherit=True), {"__name__": "__main__"})


def run_console(example: Example) -> str | None:
    """Run each `$ command` of a block in one folder of its own; a `# exit N` line tells its status if not 0.

    Output is compared if any is shown; `...` stands for anything. Returns what went wrong.
    """
    starts = example.namespace.get("starts") or Starts()
    with tempfile.TemporaryDirectory() as folder:
        for step in re.split(r"^\$ ", example.parsed, flags=re.MULTILINE)[1:]:
            if problem := _run_step(step, folder, starts.path):
                return problem
    return None


def _run_step(step: str, folder: str, path: list[str]) -> str | None:
    lines = step.rstrip().splitlines()
    command = [lines.pop(0)]
    while lines and (lines[0] == ">" or lines[0].startswith("> ")):
        command.append(lines.pop(0)[2:])
    status = 0
    if lines and (told := re.fullmatch(r"# exit (\d+)", lines[-1])):
        status = int(told[1])
        lines.pop()

    environment = {
        **os.environ,
        "PATH": os.pathsep.join([*path, os.environ["PATH"]]),
        "COLUMNS": "100",
        "TERM": "dumb",
    }
    ran = subprocess.run(
        "\n".join(command),
        shell=True,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    if ran.returncode != status:
        return f"$ {command[0]}\nexits with {ran.returncode}, not {status}; it says\n{ran.stdout}"
    if lines and not _matches("\n".join(lines), ran.stdout):
        return f"$ {command[0]}\nshould say\n{chr(10).join(lines)}\nbut says\n{ran.stdout}"
    return None


def _matches(shown: str, said: str) -> bool:
    pattern = ".*".join(re.escape(part) for part in _plain(shown).split("..."))
    return re.fullmatch(pattern, _plain(said), re.DOTALL) is not None


def _plain(text: str) -> str:
    """Without what a reader cannot see: blanks at the ends of lines."""
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


PARSERS = [
    CodeBlockParser(language="python", evaluator=run_python),
    CodeBlockParser(language="console", evaluator=run_console),
    SkipParser(),
]
