"""A scheduler and workers of Dask, as processes of their own on this machine."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("needs /proc", allow_module_level=True)
if find_spec("distributed") is None:  # the tests do not import it, but what they start
    pytest.skip("distributed is not installed", allow_module_level=True)

from governess._programs.marks import identity_of, mark_in
from governess.children._procfs import process_numbers
from governess.jobs._survivors import WORKER

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.hookimpl(tryfirst=True)  # before xdist looks at the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let one worker of xdist have the tests that share a cluster."""
    for item in items:
        if "module_cluster" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group(item.path.name))


class Cluster:
    """A scheduler, and its workers by name.

    Attributes:
        address: where the scheduler listens.
        scheduler: its process.
        workers: the processes of the workers; of their nannies, if they have some.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{self.port}"
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        self.scheduler = self.start_scheduler()

    def start_scheduler(self) -> subprocess.Popen[bytes]:
        """Start the scheduler, or start it again at the same address."""
        self.scheduler = self._start(
            "scheduler", "dask_scheduler", "--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard"
        )
        return self.scheduler

    def start_worker(
        self, name: str, *options: str, nanny: bool = False, path: Path | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a worker of one thread, unless the options say otherwise; it imports from `path` first."""
        words = ["--nthreads", "1", "--no-dashboard", "--name", name, "--local-directory", str(self.folder / "dask")]
        words += [] if nanny else ["--no-nanny"]
        self.workers[name] = self._start(name, "dask_worker", self.address, *words, *options, path=path)
        return self.workers[name]

    def _start(self, name: str, program: str, *words: str, path: Path | None = None) -> subprocess.Popen[bytes]:
        environment = os.environ if path is None else {**os.environ, "PYTHONPATH": str(path)}
        with open(self.folder / f"{name}.log", "ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.{program}", *words],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=environment,
            )

    def close(self) -> None:
        """End all of it."""
        everything = [*self.workers.values(), self.scheduler]
        for process in everything:
            process.terminate()
        for process in everything:
            try:
                process.wait(1)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture(scope="module")
def module_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A scheduler and two workers, which the tests of a file share."""
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    cluster.start_worker("one")
    cluster.start_worker("two")
    yield cluster
    cluster.close()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A scheduler without workers, for a test that ends some of it."""
    folder = tmp_path / "cluster"
    folder.mkdir()
    cluster = Cluster(folder)
    yield cluster
    cluster.close()


def jobs_of_workers(folder: Path) -> list[int]:
    """Return the numbers of the living processes that workers run in a folder."""
    return [
        pid
        for pid in process_numbers()
        if mark_in(pid, WORKER) is not None and identity_of(pid) is not None and _cwd(pid) == str(folder)
    ]


def _cwd(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return ""


@pytest.fixture
def nobody_left(tmp_path: Path) -> Iterator[None]:
    """Fail if a worker's job is left in the folder of the test, and end it."""
    yield
    left = jobs_of_workers(tmp_path)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs `governess run` in a folder of the test's own."""

    def run(*words: str, timeout: float = 60, **options: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "governess", "run", *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=timeout,
            **options,  # type: ignore[call-overload]
        )

    return run
