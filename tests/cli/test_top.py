"""`governess top`: services and jobs on a screen of their own."""

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("needs terminals of POSIX", allow_module_level=True)
if find_spec("textual") is None:
    pytest.skip("textual is not installed", allow_module_level=True)

from roll import Roll
from terminals import OnTerminal

from .conftest import Start
from .uptime import Up, wait_until


def screen(folder: Path, *words: str) -> OnTerminal:
    """Start `governess top WORDS…` on a terminal of 80 columns."""
    script = 'cd "$0" && stty rows 24 cols 80 && exec "$@"'
    return OnTerminal("sh", "-c", script, str(folder), sys.executable, "-m", "governess", "top", *words)


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")


def test_services(up: Up, monkeypatch: pytest.MonkeyPatch) -> None:
    """The services are counted and listed, with what the chosen one writes; keys act on that one."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", up.env["XDG_RUNTIME_DIR"])
    up.write(
        "governess.toml",
        '[services.one]\nrun = "echo good day; exec sleep 1000"\n[services.two]\nrun = "exec sleep 1000"\n',
    )
    up.start()
    up.expect("runs as process", 2)
    with screen(up.folder) as top:
        for text in ("2 services", "two.1", "good day"):
            top.wait_for(text)
        top.type("x")
        wait_until(lambda: up.states() == {"one.1": "stopped", "two.1": "ready"})
        top.wait_for("1 stopped")
        top.type("s")
        wait_until(lambda: up.states() == {"one.1": "ready", "two.1": "ready"})
        top.type("q")
        assert top.wait_for_end() == 0
    assert up.end() == 0


def test_jobs(start: Start, roll: Roll, tmp_path: Path) -> None:
    """The jobs of a journal that run or have failed are listed, with what the chosen one writes; the rest by a key."""
    line = (
        "echo out of {}; echo trouble of {} >&2; "
        "case {} in live) exec 3>roll; echo >&3; exec sleep 60;; esac; test {} = a"
    )
    run = start("run", "--quiet", "-j1", "--journal", "journal", line, ":::", "a", "b", "live", "c")
    roll.wait_for(1)
    with screen(tmp_path, "--journal", "journal") as top:
        for text in ("4 jobs", f"run by process {run.pid}", "running", "failed", "what 3 writes", "trouble of live"):
            top.wait_for(text)
        assert "out of a" not in top.seen
        top.type("d")
        top.wait_for("done")
        top.type("\x1b[B\x1b[B")  # down
        top.wait_for("out of b")
        run.terminate()
        run.wait()
        top.wait_for("not running")
        top.type("q")
        assert top.wait_for_end() == 0
