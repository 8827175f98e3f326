"""A program whose exec takes its time inside the kernel, as it does on a cold disk or a file server."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import copy, which

__all__ = ["slow_program"]

# Whoever opens a file under a write lease, an exec too, waits in the kernel until the holder gives it up: fcntl(2). The
# holder is a process of its own, since the one that starts the program may stand still meanwhile.
HOLDER = """
import fcntl, os, signal, sys, time
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGIO})
file = os.open(sys.argv[1], os.O_RDONLY)
fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print("held", flush=True)
signal.sigwait({signal.SIGIO})
time.sleep(float(sys.argv[2]))
"""


@contextmanager
def slow_program(seconds: float) -> Iterator[str]:
    """The path of a program that does nothing, and whose next exec takes so long."""
    true = which("true")
    assert true is not None
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder, "true")
        copy(true, program)
        command = [sys.executable, "-I", "-c", HOLDER, str(program), str(seconds)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
            try:
                assert holder.stdout is not None
                assert holder.stdout.readline() == "held\n", "no lease can be had here"
                started = time.monotonic()
                yield str(program)
                assert time.monotonic() - started >= seconds, "somebody else has opened the file"
            finally:
                holder.kill()
