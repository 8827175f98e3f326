"""Programs that die again and again, under governess and its peers, in the same half minute."""

import itertools
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

#: What dies at once, and what dies a little later.
PROGRAMS = {"at_once": "exit 1", "later": "sleep 1.2; exit 1"}
SECONDS = 30


@contextmanager
def running(folder: Path, *argv: str) -> Iterator[None]:
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(folder)}
    with open(folder / "output", "wb") as output:
        process = subprocess.Popen(argv, cwd=folder, env=environment, stdout=output, stderr=output)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def write_programs(folder: Path) -> None:
    for name, line in PROGRAMS.items():
        path = folder / name
        path.write_text(f"#!/bin/sh\ndate +%s.%N >> {path}.times\n{line}\n")
        path.chmod(0o755)


def governess(folder: Path) -> tuple[str, ...]:
    (folder / "governess.toml").write_text("".join(f'[services.{name}]\nrun = "./{name}"\n' for name in PROGRAMS))
    return sys.executable, "-m", "governess", "up"


def supervisord(folder: Path) -> tuple[str, ...]:
    programs = "".join(f"[program:{name}]\ncommand={folder / name}\n" for name in PROGRAMS)
    (folder / "conf").write_text(
        f"[supervisord]\nnodaemon=true\nuser=root\nlogfile={folder}/log\npidfile={folder}/pid\n{programs}"
    )
    return "supervisord", "-c", str(folder / "conf")


def circus(folder: Path) -> tuple[str, ...]:
    programs = "".join(f"[watcher:{name}]\ncmd={folder / name}\n" for name in PROGRAMS)
    sockets = "".join(f"{name} = ipc://{folder}/{name}\n" for name in ("endpoint", "pubsub_endpoint"))
    (folder / "conf").write_text(f"[circus]\n{sockets}{programs}")
    return "circusd", str(folder / "conf")


CONTESTANTS = {"governess up": governess, "supervisord": supervisord, "circusd": circus}


def starts(folder: Path, name: str, began: float) -> list[float]:
    times = folder / f"{name}.times"
    return [float(line) - began for line in times.read_text().split()] if times.exists() else []


def test_crash_loops(tmp_path: Path) -> None:
    """Ours starts either program ten times at most in 30 s, ever more rarely, and does not give it up."""
    folders = {}
    with ExitStack() as stack:
        for contestant, prepare in CONTESTANTS.items():
            folder = folders[contestant] = tmp_path / contestant.partition(" ")[0]
            folder.mkdir()
            write_programs(folder)
            argv = prepare(folder)
            program = shutil.which(argv[0], path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
            if program is not None:
                stack.enter_context(running(folder, program, *argv[1:]))
        began = time.time()
        time.sleep(SECONDS)
    for contestant, folder in folders.items():
        for name in PROGRAMS:
            times = [f"{second:.1f}" for second in starts(folder, name, began)]
            print(f"{contestant:13} {name:8} {len(times):3} starts: {' '.join(times)}")
    for name in PROGRAMS:
        times = starts(folders["governess up"], name, began)
        assert 5 <= len(times) <= 10
        pauses = [after - before for before, after in itertools.pairwise(times)]
        assert all(later > earlier for earlier, later in itertools.pairwise(pauses[-3:]))
