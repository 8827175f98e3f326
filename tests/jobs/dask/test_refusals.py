"""What `governess run --on` refuses, without a cluster."""

import os

from .conftest import Run


def test_wrong_options(run: Run) -> None:
    """What --on cannot do is told, and so is what it needs."""
    assert "--on takes tcp://HOST:PORT" in run("--on", "somewhere", "true", ":::", "x").stderr
    assert "--load looks at this machine" in run("--on", "tcp://h:1", "--load", "3", "true", ":::", "x").stderr
    assert "--shared is for a cluster" in run("--shared", os.curdir, "true", ":::", "x").stderr


def test_no_scheduler(run: Run) -> None:
    """A scheduler that is not there is told when the timeout is over."""
    done = run("--on", "tcp://127.0.0.1:9", "--cluster-timeout", "1", "true", ":::", "x")
    assert done.returncode == 255
    assert "there is no scheduler at tcp://127.0.0.1:9" in done.stderr
