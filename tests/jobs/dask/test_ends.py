"""What ends a job on a worker: the run, the worker, the scheduler; each at random moments."""

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import pytest

from governess.jobs._journal.schema import connect

from .conftest import Cluster, jobs_of_workers

GRACE = 1
# A job holds a lock while it runs, with all that it has started; a second copy would not get it.
JOB = "exec 9>lock.$1; flock -n 9 || echo $1 >>overlaps; sleep 0.$(($1 % 7 + 2)) & wait $!; echo $1 >>done"
COUNT = 60


def start(folder: Path, address: str, *words: str, command: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    """Start a run of jobs with a journal."""
    line = command or ("sh", "-c", JOB, "sh", ":::", *map(str, range(COUNT)))
    options = ["--on", address, "--grace", str(GRACE), "--journal", "journal", "--resume", *words, "--", *line]
    return subprocess.Popen(
        [sys.executable, "-m", "governess", "run", *options],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def states(folder: Path) -> Counter[str]:
    with closing(connect(folder / "journal", read_only=True)) as database:
        return Counter(dict(database.execute("SELECT state, count(*) FROM jobs GROUP BY state")))


def finish(process: subprocess.Popen[str], status: int = 0, timeout: float = 90) -> str:
    """Wait for the end of a run, whose status is this; return what it said."""
    try:
        _, errors = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        _, errors = process.communicate()
        pytest.fail(f"the run does not end: {errors}")
    assert process.returncode == status, errors
    return errors


def wait_for(condition: Callable[[], object], timeout: float = 30) -> None:
    until = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def all_done(folder: Path) -> None:
    """Check that every job was done, is done once in the journal, and never ran twice at the same time."""
    assert states(folder) == {"done": COUNT}
    assert set((folder / "done").read_text().split()) == set(map(str, range(COUNT)))
    assert not (folder / "overlaps").exists()


def until_nobody_is_left(folder: Path, seconds: float) -> None:
    wait_for(lambda: not jobs_of_workers(folder), seconds)


def begun(folder: Path) -> int:
    return len(list(folder.glob("lock.*")))


def more_has_begun(folder: Path, before: int, process: subprocess.Popen[str]) -> bool:
    return begun(folder) > before or process.poll() is not None


def start_until_more_begin(folder: Path, address: str) -> subprocess.Popen[str]:
    """Start a run, and wait until a job has begun that had not before, or the run has ended."""
    before = begun(folder)
    process = start(folder, address)
    wait_for(partial(more_has_begun, folder, before, process))
    return process


@contextmanager
def run_of_all(folder: Path, address: str, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Start a run, and wait until a job has begun; after the block, wait until each job is done."""
    process = start(folder, address, *words)
    wait_for(lambda: begun(folder))
    yield process
    finish(process, timeout=300)
    all_done(folder)


def runs_to_end(folder: Path, address: str, rounds: int, rng: random.Random) -> Iterator[subprocess.Popen[str]]:
    """Yield runs that go on with each other, each at a random moment; after them, have one do what is left."""
    for _ in range(rounds):
        process = start_until_more_begin(folder, address)
        time.sleep(rng.uniform(0.0, 0.5))
        yield process
    finish(start(folder, address))
    all_done(folder)


pytestmark = pytest.mark.slow  # `make cluster` leaves out only those of ten rounds

ROUNDS = [pytest.param(1, id="once"), pytest.param(10, id="ten times")]


@pytest.mark.parametrize("rounds", ROUNDS)
@pytest.mark.timeout(400)
def test_workers_are_killed(cluster: Cluster, tmp_path: Path, nobody_left: None, rounds: int) -> None:
    """The jobs of a killed worker run elsewhere, when nothing of them is left; that costs no try."""
    rng = random.Random(17)
    cluster.start_worker("0")
    cluster.start_worker("1")
    with run_of_all(tmp_path, cluster.address):
        for number in range(rounds):
            time.sleep(rng.uniform(0.0, 1.5))
            cluster.workers[str(number)].kill()
            cluster.workers.pop(str(number)).wait()
            cluster.start_worker(str(number + 2))


@pytest.mark.parametrize("rounds", ROUNDS)
@pytest.mark.timeout(400)
def test_the_run_is_killed(cluster: Cluster, tmp_path: Path, nobody_left: None, rounds: int) -> None:
    """When the run is killed, its jobs over there are ended; the next run goes on, with no second copy of one."""
    rng = random.Random(18)
    cluster.start_worker("0")
    cluster.start_worker("1")
    for process in runs_to_end(tmp_path, cluster.address, rounds, rng):
        process.kill()
        process.communicate()
        until_nobody_is_left(tmp_path, GRACE + 5)


@pytest.mark.parametrize("rounds", ROUNDS)
@pytest.mark.timeout(600)
def test_the_scheduler_is_killed(cluster: Cluster, tmp_path: Path, nobody_left: None, rounds: int) -> None:
    """When the scheduler is killed, its workers end what they run; the run waits for it, and goes on."""
    rng = random.Random(19)
    cluster.start_worker("0")
    with run_of_all(tmp_path, cluster.address, "-j", "4") as process:
        for number in range(rounds):
            time.sleep(rng.uniform(0.0, 1.5))
            cluster.scheduler.kill()
            cluster.scheduler.wait()
            until_nobody_is_left(tmp_path, GRACE + 5)
            cluster.workers.pop(str(number)).wait(30)
            cluster.start_scheduler()
            before = begun(tmp_path)
            cluster.start_worker(str(number + 1))
            wait_for(partial(more_has_begun, tmp_path, before, process), 60)


@pytest.mark.parametrize("rounds", ROUNDS)
@pytest.mark.timeout(400)
def test_workers_retire(cluster: Cluster, tmp_path: Path, nobody_left: None, rounds: int) -> None:
    """A worker that is retired ends what it runs, which then runs elsewhere."""
    rng = random.Random(20)
    cluster.start_worker("0")
    cluster.start_worker("1", nanny=True)
    code = (
        "import sys; from distributed import Client\n"
        "with Client(sys.argv[1]) as client: client.retire_workers(names=[sys.argv[2]])"
    )
    with run_of_all(tmp_path, cluster.address):
        for number in range(rounds):
            time.sleep(rng.uniform(0.0, 1.0))
            cluster.start_worker(str(number + 2), nanny=bool(number % 2))
            subprocess.run([sys.executable, "-c", code, cluster.address, str(number)], check=True, timeout=60)
            cluster.workers.pop(str(number)).wait(30)


@pytest.mark.parametrize("rounds", ROUNDS)
@pytest.mark.timeout(400)
def test_a_nanny_restarts_its_worker(cluster: Cluster, tmp_path: Path, nobody_left: None, rounds: int) -> None:
    """Workers that are restarted by their nannies end what they run, which then runs again."""
    rng = random.Random(21)
    cluster.start_worker("0", nanny=True)
    cluster.start_worker("1", nanny=True)
    code = (
        "import sys; from distributed import Client\n"
        "with Client(sys.argv[1]) as client: client.restart_workers(list(client.scheduler_info()['workers'])[:1])"
    )
    with run_of_all(tmp_path, cluster.address):
        for _ in range(rounds):
            time.sleep(rng.uniform(0.0, 1.0))
            subprocess.run([sys.executable, "-c", code, cluster.address], check=True, timeout=60)


@pytest.mark.parametrize("rounds", ROUNDS)
@pytest.mark.timeout(400)
def test_ctrl_c(cluster: Cluster, tmp_path: Path, nobody_left: None, rounds: int) -> None:
    """Ctrl-C ends the jobs over there within the grace, and everything is in the journal."""
    rng = random.Random(22)
    cluster.start_worker("0")
    cluster.start_worker("1")
    for process in runs_to_end(tmp_path, cluster.address, rounds, rng):
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=GRACE + 20)
        until_nobody_is_left(tmp_path, 0.5)
        assert states(tmp_path)["running"] == 0


def test_a_job_that_kills_its_workers(cluster: Cluster, tmp_path: Path, nobody_left: None) -> None:
    """A job that kills three workers in a row has failed for that reason, and no other job has."""
    for number in range(6):
        cluster.start_worker(str(number))
    killer = "if [ $1 = 3 ]; then kill -9 $(ps -o ppid= -p $$); sleep 60; else sleep 0.3; echo $1 >>done; fi"
    line = ("sh", "-c", killer, "sh", ":::", *map(str, range(12)))
    errors = finish(start(tmp_path, cluster.address, command=line), status=1)
    assert states(tmp_path) == {"done": 11, "failed": 1}
    assert "lost" in errors
    with closing(connect(tmp_path / "journal", read_only=True)) as database:
        ((reason,),) = database.execute("SELECT reason FROM jobs WHERE state = 'failed'").fetchall()
    assert reason.startswith("3 workers in a row were lost while they ran it")


def test_a_job_without_its_mark(cluster: Cluster, tmp_path: Path, nobody_left: None) -> None:
    """A job that has emptied its environment is known by its process group, and no second copy runs beside it."""
    cluster.start_worker("0")
    script = "trap '' TERM; exec 9>lock.1; flock -n 9 || echo 1 >>overlaps; sleep 1; [ -e go ] || sleep 60"
    command = ("env", "-i", "PATH=/usr/bin:/bin", "sh", "-c", script, ":::", "x")
    process = start(tmp_path, cluster.address, command=command)
    wait_for(lambda: begun(tmp_path))
    time.sleep(0.5)  # for the note that it has been started
    cluster.workers["0"].kill()
    cluster.workers.pop("0").wait()
    (tmp_path / "go").touch()
    cluster.start_worker("1")
    finish(process)
    assert not (tmp_path / "overlaps").exists()


def test_timeout(cluster: Cluster, tmp_path: Path, nobody_left: None) -> None:
    """A scheduler that does not come back ends the run when the timeout is over, with everything in the journal."""
    cluster.start_worker("0")
    process = start(tmp_path, cluster.address, "--cluster-timeout", "2")
    wait_for(lambda: begun(tmp_path) and states(tmp_path)["done"])
    cluster.scheduler.kill()
    cluster.scheduler.wait()
    errors = finish(process, status=255)
    assert f"the scheduler at {cluster.address} has been gone for 2 s" in errors
    found = states(tmp_path)
    assert found["running"] == 0
    assert found["done"] > 0
    cluster.start_scheduler()
    cluster.start_worker("1")
    finish(start(tmp_path, cluster.address))
    all_done(tmp_path)
