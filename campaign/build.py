"""Compiles the campaign's programs in C into a folder."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

__all__ = ["NoCompiler", "Programs", "build"]

SOURCES = Path(__file__).parent


class NoCompiler(Exception):
    """There is no C compiler, or it cannot compile for this system."""


@dataclass(frozen=True, slots=True)
class Programs:
    """What was compiled.

    Attributes:
        shim: the library that is preloaded, and lets calls fail.
        thief: the library with a thread that reaps other people's children.
        child: the program that most children run.
    """

    shim: Path
    thief: Path
    child: Path

    @classmethod
    def in_folder(cls, folder: Path) -> Programs:
        """Name the programs that `build` has put into this folder."""
        return cls(folder / "shim.so", folder / "thief.so", folder / "child")


def build(folder: Path) -> Programs:
    """Compile the programs into the folder.

    Raises:
        NoCompiler: that is not possible here.
    """
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        raise NoCompiler("there is no C compiler (cc, or what CC says)")
    programs = Programs.in_folder(folder)
    shared = ["-shared", "-fPIC", "-pthread"]
    _compile([compiler, *shared, "-Wl,-z,now", "-o", programs.shim, SOURCES / "shim.c", "-ldl"])
    _compile([compiler, *shared, "-o", programs.thief, SOURCES / "thief.c"])
    child = [compiler, "-o", programs.child, SOURCES / "child.c"]
    try:
        _compile([*child, "-static"])  # which starts in half the time
    except NoCompiler:
        _compile(child)
    return programs


def _compile(command: list[str | Path]) -> None:
    done = subprocess.run([*command, "-O2", "-Wall", "-Wextra"], capture_output=True, text=True)
    if done.returncode != 0:
        raise NoCompiler(done.stderr.strip())
