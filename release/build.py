"""The step `build`: the sdist, and from it the wheel of this machine."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from release.project import DIST, run_tool, wheels

__all__ = ["build"]


def build() -> str:
    """Fill dist/ anew, and return the names of what is in it.

    Raises:
        ReleaseError: an extension is not built, or auditwheel finds what is not on every Linux.
    """
    shutil.rmtree(DIST, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        run_tool("build", "--outdir", folder, env={"GOVERNESS_REQUIRE_NATIVE": "1"})
        (wheel,) = Path(folder).glob("*.whl")
        run_tool("auditwheel", "repair", "--wheel-dir", DIST, wheel)
        (archive,) = Path(folder).glob("*.tar.gz")
        shutil.move(archive, DIST)
    return ", ".join([archive.name, *(wheel.name for wheel in wheels())])
