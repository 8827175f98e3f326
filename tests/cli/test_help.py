"""Help, version, and what governess tells about itself."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import Run

DOCS = Path(__file__).parents[2] / "docs"


def test_help_of_run_is_that_of_the_docs(governess: Run) -> None:
    """`governess run --help` prints docs/run-help.txt."""
    assert (DOCS / "run-help.txt").read_text() == governess("run", "--help").stdout


def test_help_of_up_is_that_of_the_docs(governess: Run) -> None:
    """`governess up --help` prints docs/up-help.txt."""
    assert (DOCS / "up-help.txt").read_text() == governess("up", "--help").stdout


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["--loop", "uvloop", "-h"]])
def test_help_of_python_is_that_of_the_docs(governess: Run, words: list[str]) -> None:
    """`governess python --help` prints docs/python-help.txt."""
    assert (DOCS / "python-help.txt").read_text() == governess("python", *words).stdout


@pytest.mark.windows
@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_help(governess: Run, words: list[str]) -> None:
    """Help lists the commands."""
    done = governess(*words)

    assert done.returncode == 0
    assert done.stdout.startswith("Usage: governess ")
    assert "  run      Run many commands at once." in done.stdout
    assert "  python   Run a Python program" in done.stdout
    assert "  up       Keep the services of a file alive." in done.stdout


@pytest.mark.windows
def test_version(governess: Run) -> None:
    """`governess --version` prints one line."""
    done = governess("--version")

    assert (done.returncode, done.stdout.count("\n")) == (0, 1)
    assert done.stdout.startswith("governess ")


@pytest.mark.windows
def test_info(governess: Run) -> None:
    """`governess info` tells the platform, the loops, the kind of line, and the watcher and spawner chosen and why."""
    done = governess("info")

    assert done.returncode == 0
    facts = [line.split()[0] for line in done.stdout.splitlines()]
    assert {"governess", "Python", "platform", "loop", "priorities", "spawner"} <= set(facts)
    assert "auto takes asyncio" in done.stdout or "auto takes uvloop" in done.stdout


@pytest.mark.windows
@pytest.mark.parametrize("missing", ["click", "rich"])
def test_missing_packages(missing: str) -> None:
    """Without click or rich one line tells how to get them."""
    code = f"""if True:
        import importlib.util, sys
        real = importlib.util.find_spec
        importlib.util.find_spec = lambda name, *more: None if name == {missing!r} else real(name, *more)
        from governess.cli import main
        sys.exit(main(["run"]))
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert done.returncode == 2
    assert done.stderr == "governess: the command line needs click and rich: pip install 'governess[cli]'\n"


@pytest.mark.windows
def test_starting_is_quick() -> None:
    """Without a terminal rich is not imported."""
    code = f"""if True:
        import sys
        from governess.cli import main
        status = main(["run", {sys.executable!r}, "--version", ":::", "-I"])
        sys.exit("rich" in sys.modules)
    """
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


@pytest.mark.parametrize(
    "words", [["ps"], ["run", "true"], ["run", "--journal", "j", "true", ":::", "x"], ["up"], ["report"]], ids=" ".join
)
def test_fresh_interpreter(words: list[str], tmp_path: Path) -> None:
    """Each kind of command imports what it needs, and leaves nothing that the end of the interpreter complains of."""
    argv = [sys.executable, "-m", "governess", *words]
    done = subprocess.run(argv, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True)

    assert not re.search("Traceback|ignored|destroyed|never", done.stderr)
    assert done.returncode in (0, 1, 2, 255)
