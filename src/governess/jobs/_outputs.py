"""The files that a job makes."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from governess.jobs._job import Job

__all__ = ["remove_outputs"]


def remove_outputs(job: Job) -> None:
    """Remove the files that a job was to make, so that no half-written file is taken for a good one.

    A folder is left alone, and so is a file that cannot be removed.
    """
    for name in job.outputs:
        with contextlib.suppress(OSError):
            os.unlink(Path(job.cwd or ".", name))
