"""The small C programs of the benchmarks, compiled on the spot."""

from __future__ import annotations

import functools
import shutil
import subprocess
import tempfile
from pathlib import Path

from benchmarks.model import Missing

__all__ = ["program"]

HERE = Path(__file__).parent
FLAGS = {"floor": ["-pthread"], "idle": ["-static"], "slow_exec": []}


@functools.cache
def program(name: str) -> str:
    """Compile a program if its source is newer, and return its path.

    Raises:
        Missing: there is no C compiler, or it fails.
    """
    source, binary = HERE / f"{name}.c", HERE / "build" / name
    if binary.exists() and binary.stat().st_mtime > source.stat().st_mtime:
        return str(binary)
    if (compiler := shutil.which("cc")) is None:
        raise Missing("there is no C compiler (cc)")
    binary.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=binary.parent) as folder:
        fresh = Path(folder, name)
        ran = subprocess.run(
            [compiler, "-O2", "-o", fresh, source, *FLAGS[name]], stderr=subprocess.PIPE, text=True, check=False
        )
        if ran.returncode != 0:
            raise Missing(f"{source.name} does not compile: {ran.stderr.strip()}")
        fresh.replace(binary)
    return str(binary)
