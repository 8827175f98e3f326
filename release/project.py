"""What the steps of a release ask about the repository, and how they run other programs."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

__all__ = ["DIST", "ROOT", "ReleaseError", "project", "run", "run_tool", "sdist", "tracked", "wheels"]

ROOT = Path(__file__).parent.parent
DIST = ROOT / "dist"


class ReleaseError(Exception):
    """A step has found what keeps the release back."""


def project() -> dict[str, Any]:
    """Return the table `project` of pyproject.toml."""
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return table


def tracked(folder: str = ".") -> set[str]:
    """Return the files of the repository below a folder, relative to the root."""
    return set(run("git", "ls-files", "-z", folder).rstrip("\0").split("\0"))


def sdist() -> Path:
    """Return the sdist in dist/."""
    return _only(DIST.glob("*.tar.gz"))


def wheels() -> list[Path]:
    """Return the wheels in dist/: one where it was built here, one a platform in the workflow that publishes them."""
    found = sorted(DIST.glob("*.whl"))
    if not found:
        raise ReleaseError("there is no wheel in dist/: the step `build` makes one")
    return found


def run(*words: str | Path, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
    """Run a program, by default in the root, and return what it writes to its standard output.

    Raises:
        ReleaseError: it has failed, with all that it wrote.
    """
    whole = {**os.environ, **(env or {})}
    done = subprocess.run([*map(str, words)], cwd=cwd or ROOT, env=whole, capture_output=True, text=True)
    if done.returncode:
        command = " ".join(map(str, words))
        raise ReleaseError(f"`{command}` exits with {done.returncode}:\n{done.stdout}{done.stderr}".rstrip())
    return done.stdout


def run_tool(module: str, *words: str | Path, env: Mapping[str, str] | None = None) -> str:
    """Run a module of this environment, with its programs first on PATH."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return run(sys.executable, "-m", module, *words, env={"PATH": path, **(env or {})})


def _only(paths: Iterable[Path]) -> Path:
    found = list(paths)
    if len(found) != 1:
        raise ReleaseError(f"dist/ has {len(found)} sdists, not one: the step `build` empties it first")
    return found[0]
