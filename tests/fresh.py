"""Running a script in an interpreter of its own, where nothing has happened yet."""

import subprocess
import sys
import textwrap


def run_fresh(script: str, *options: str) -> str:
    """Run the script with warnings as errors; return what it printed, and fail with what it complained of."""
    command = [sys.executable, "-W", "error", *options, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, (done.returncode, done.stderr)
    assert done.stderr == "", done.stderr
    return done.stdout
