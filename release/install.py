"""The step `install`: the wheel and the sdist, in empty environments, run the README from top to bottom."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import re
import shutil
import tarfile
import tempfile
from pathlib import Path

from release.project import ReleaseError, run, sdist, wheels

__all__ = ["install"]

PYTHONS = ("3.11", "3.15")

# What runs the README's blocks: the repository's own conftest.py, in the sdist.
RUNNER = ["pytest>=8.4", "pytest-timeout>=2.3", "sybil>=9"]


@dataclasses.dataclass(frozen=True, slots=True)
class Case:
    """One way to get the package.

    Attributes:
        python: the version of Python.
        archive: what pip installs.
        has_compiler: whether pip can find a C compiler.
    """

    python: str
    archive: Path
    has_compiler: bool

    @property
    def has_extensions(self) -> bool:
        """Whether the extensions are there afterwards."""
        return self.has_compiler or self.archive.suffix == ".whl"

    def __str__(self) -> str:
        """Return the case in words."""
        return f"{self.archive.name} on {self.python}, with{'' if self.has_compiler else 'out'} a compiler"


def install() -> str:
    """Install each archive of this machine in each way, run the README there, and return what was run.

    Raises:
        ReleaseError: with the cases that failed.
    """
    (wheel,) = wheels()
    ways = [(wheel, False), (sdist(), True), (sdist(), False)]
    cases = [Case(python, *way) for python in PYTHONS for way in ways]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return "\n".join(pool.map(_try, cases))


def _try(case: Case) -> str:
    with tempfile.TemporaryDirectory() as folder:
        try:
            return f"{case}: {_passed(case, Path(folder))} blocks of README.md"
        except ReleaseError as error:
            raise ReleaseError(f"{case}: {error}") from error


def _passed(case: Case, folder: Path) -> int:
    program = shutil.which(f"python{case.python}")
    if program is None:
        raise ReleaseError(f"there is no python{case.python} on PATH")
    run(program, "-m", "venv", folder / "venv")
    programs = folder / "venv" / "bin"
    # No cache: pip would keep what it has built from an sdist, and take it for the next one of that name.
    pip: list[str | Path] = [programs / "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet"]
    path = {} if case.has_compiler else {"PATH": str(programs), "CC": "no-compiler"}
    run(*pip, "--no-cache-dir", f"governess[cli] @ {case.archive.as_uri()}", env=path, cwd=folder)
    _check_info(case, run(programs / "governess", "info", cwd=folder))
    run(*pip, *RUNNER)
    with tarfile.open(sdist()) as tar:
        tar.extractall(folder, filter="data")
    unpacked = folder / sdist().name.removesuffix(".tar.gz")
    place = Path(run(programs / "python", "-c", "import governess; print(governess.__file__)", cwd=unpacked).strip())
    if not place.is_relative_to(folder / "venv"):
        raise ReleaseError(f"the package that is tried is {place}, not the one that was installed")
    said = run(programs / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "README.md", cwd=unpacked)
    return _count(said, (unpacked / "README.md").read_text("utf-8"))


def _check_info(case: Case, said: str) -> None:
    """Check that the extensions are there where they can be; elsewhere `governess info` tells how to get them."""
    if ("spawner     native" in said) != case.has_extensions or ("no-binary" in said) == case.has_extensions:
        expected = "in use" if case.has_extensions else "missing, and told how to get"
        raise ReleaseError(f"the extensions should be {expected}, and `governess info` says\n{said}")


def _count(said: str, readme: str) -> int:
    """Return how many blocks passed: every one that is Python or a console's."""
    summary = re.search(r"^(\d+) passed(?:, (\d+) skipped)?", said, re.MULTILINE)
    passed, skipped = (int(number or 0) for number in summary.groups()) if summary else (0, 0)
    blocks = len(re.findall(r"^```(?:python|console)$", readme, re.MULTILINE))
    if not passed or passed + skipped < blocks:
        raise ReleaseError(f"{passed} of {blocks} blocks passed:\n{said}")
    return passed
