"""Installing a distribution for a Python, and running its program there in three ways."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from wild.entries import PROGRAMS, Entry

__all__ = ["WAYS", "Outcome", "Result", "base_of", "recorded", "try_out"]

ROOT = Path(__file__).parent.parent
VENVS = ROOT / ".venv" / "wild"

# In seconds.
INSTALL_TIMEOUT, RUN_TIMEOUT = 240.0, 90.0

_AFTER_INSTALL = """
import governess, runpy, sys
governess.install()
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name='__main__')
"""

#: How a program is run.
WAYS: dict[str, list[str]] = {
    "plain": [],
    "governess python": ["-m", "governess", "python"],
    "governess.install()": ["-c", _AFTER_INSTALL],
}


@dataclasses.dataclass(frozen=True, slots=True)
class Result:
    """What came of a program: whether it worked, and its last line of output, or of its complaint."""

    worked: bool
    line: str


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """An entry on one Python.

    Attributes:
        entry: the entry.
        python: the version of Python.
        version: the version that was installed; empty if none could be.
        results: by the way in which the program was run.
    """

    entry: Entry
    python: str
    version: str
    results: dict[str, Result]

    def record(self) -> None:
        """Keep the outcome for the page, which may be written from several runs."""
        folder = VENVS / "outcomes"
        folder.mkdir(parents=True, exist_ok=True)
        results = {way: dataclasses.astuple(result) for way, result in self.results.items()}
        text = json.dumps({"version": self.version, "results": results})
        (folder / f"{self.entry.key}-{self.python}.json").write_text(text)


def recorded(entry: Entry, python: str) -> Outcome | None:
    """Return the last outcome of the entry on this Python, if it was ever tried."""
    file = VENVS / "outcomes" / f"{entry.key}-{python}.json"
    if not file.exists():
        return None
    data = json.loads(file.read_text())
    return Outcome(entry, python, data["version"], {way: Result(*result) for way, result in data["results"].items()})


def base_of(python: str) -> Path:
    """Return the Python, in a virtual environment, that has governess alone; make it if it is not there."""
    folder = VENVS / python
    program = folder / "bin" / "python"
    if not (folder / ".done").exists():
        subprocess.run([f"python{python}", "-m", "venv", "--clear", folder], check=True)
        subprocess.run([program, "-m", "pip", "-qq", "install", "-e", ROOT], check=True)
        (folder / ".done").touch()
    return program


def try_out(entry: Entry, python: str) -> Outcome:
    """Install the entry for this Python, and run its program in each way; keep the outcome for the page."""
    outcome = _try_out(entry, python)
    outcome.record()
    return outcome


def _try_out(entry: Entry, python: str) -> Outcome:
    base = base_of(python)
    with tempfile.TemporaryDirectory(prefix="wild-") as temporary:
        target = Path(temporary, "packages")
        complaint = _install(base, entry, target)
        if complaint:
            return Outcome(entry, python, "", {way: Result(False, complaint) for way in WAYS})
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(map(str, (target, PROGRAMS))),
            "PYTHONWARNINGS": "ignore::DeprecationWarning",
            "PYTHONDONTWRITEBYTECODE": "1",
            "WILD_FOLDER": temporary,
        }
        if entry.tests:
            environment["WILD_TESTS"] = " ".join(entry.tests)
            try:
                environment["WILD_SOURCE"] = str(_source(base, entry, Path(temporary, "source")))
            except RuntimeError as error:
                return Outcome(entry, python, "", {way: Result(False, str(error)) for way in WAYS})
        results = {way: _run([base, *words, entry.program], environment, temporary) for way, words in WAYS.items()}
        return Outcome(entry, python, _version(entry, target), results)


def _install(base: Path, entry: Entry, target: Path) -> str:
    """Install into a folder, by uv where it is there; return what went wrong."""
    uv = shutil.which("uv")
    tool = [uv, "pip", "install", "-q", "--python", base] if uv else [base, "-m", "pip", "-qq", "install"]
    return _complaint([*tool, "--target", target, *entry.requires])


def _source(base: Path, entry: Entry, folder: Path) -> Path:
    pinned = f"{entry.name}=={entry.version}" if entry.version else entry.name
    options = ["-qq", "--no-deps", "--no-binary", entry.name]
    complaint = _complaint([base, "-m", "pip", "download", *options, "-d", folder, pinned])
    for archive in folder.glob("*.tar.gz"):
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
        return folder / archive.name.removesuffix(".tar.gz")
    raise RuntimeError(complaint or f"{pinned} has no source distribution")


def _complaint(command: list[object]) -> str:
    words = list(map(str, command))
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=INSTALL_TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        return f"could not be installed within {INSTALL_TIMEOUT:g} s"
    if done.returncode == 0:
        return ""
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    reasons = [line for line in lines if "error" in line.lower() or "require" in line.lower()] or lines
    return f"cannot be installed: {_short(reasons[-1])}" if reasons else "cannot be installed"


def _run(command: list[object], environment: dict[str, str], folder: str) -> Result:
    # Into files: a child that is left behind would keep a pipe open.
    with tempfile.TemporaryFile("w+", dir=folder) as out, tempfile.TemporaryFile("w+", dir=folder) as err:
        try:
            done = subprocess.run(
                list(map(str, command)),
                env=environment,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                timeout=RUN_TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Result(False, f"did not end within {RUN_TIMEOUT:g} s")
        last = _last(out) if done.returncode == 0 else _last(err) or _last(out)
        return Result(done.returncode == 0, _short(last) or f"exit status {done.returncode}")


def _last(file: object) -> str:
    file.seek(0)  # type: ignore[attr-defined]
    lines = [line.strip() for line in file if line.strip()]  # type: ignore[attr-defined]
    return str(lines[-1]) if lines else ""


def _short(text: str) -> str:
    """Return the line without the paths of this machine, and not too long for a table."""
    text = re.sub(r" \((/[^)]*)\)", "", text.strip())
    return text if len(text) <= 100 else f"{text[:97]}..."


def _version(entry: Entry, target: Path) -> str:
    wanted = entry.name.partition("[")[0].replace("-", "_").replace(".", "_").lower()
    for info in target.glob("*.dist-info"):
        name, _, version = info.name.removesuffix(".dist-info").partition("-")
        if name.replace("-", "_").replace(".", "_").lower() == wanted:
            return version
    return entry.version
