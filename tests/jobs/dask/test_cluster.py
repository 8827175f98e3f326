"""What a cluster has and is: resources, versions, workers that come, other connections to it."""

import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import Cluster, Run

pytestmark = pytest.mark.slow  # `make cluster` runs them


def test_resources(cluster: Cluster, run: Run, tmp_path: Path) -> None:
    """Tokens that workers declare are Dask's resources: jobs run where they are, with the numbers of that worker."""
    cluster.start_worker("plain", "--nthreads", "4")
    cluster.start_worker("gpus", "--nthreads", "4", "--resources", "gpu=2")
    # The run begins with what is there.
    run("--on", cluster.address, "true", ":::", *map(str, range(20)))
    line = "echo $GOVERNESS_TOKEN_GPU $GOVERNESS_WORKER; [ ! -e $GOVERNESS_TOKEN_GPU ] && : >$GOVERNESS_TOKEN_GPU; "
    line += "s=$?; sleep 0.2; rm $GOVERNESS_TOKEN_GPU; : {}; exit $s"
    done = run("--on", cluster.address, "--token", "gpu", line, ":::", *map(str, range(8)))
    assert done.returncode == 0, done.stderr
    numbers, addresses = zip(*(row.split() for row in done.stdout.splitlines()), strict=True)
    assert set(numbers) == {"0", "1"}
    assert len(set(addresses)) == 1
    refused = run("--on", cluster.address, "--token", "gpu=3", "true", ":::", "x")
    assert "needs 3 tokens 'gpu', and the pool has 2" in refused.stderr


def test_more_than_a_worker_has(cluster: Cluster, run: Run) -> None:
    """A job that needs more than any worker declares fails with the reason, though all together have as much."""
    cluster.start_worker("0", "--resources", "gpu=2")
    cluster.start_worker("1", "--resources", "gpu=2")
    run("--on", cluster.address, "true", ":::", *map(str, range(20)))
    done = run("--on", cluster.address, "--token", "gpu=3", "true {}", ":::", "x")
    assert done.returncode == 1
    assert "no worker of the cluster declares as much as it needs: gpu=3" in done.stderr


def test_another_version_is_told(cluster: Cluster, run: Run, tmp_path: Path) -> None:
    """A worker with another version of governess is told before any job starts."""
    metadata = tmp_path / "other" / "governess-99.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text("Metadata-Version: 2.1\nName: governess\nVersion: 99\n")
    cluster.start_worker("other", path=metadata.parent.parent)
    done = run("--on", cluster.address, "touch", ":::", "begun")
    assert done.returncode == 255
    assert "has governess 99, and here is " in done.stderr
    assert not (tmp_path / "begun").exists()


def test_a_worker_that_comes_later(cluster: Cluster, run: Run, tmp_path: Path) -> None:
    """A run waits for its first worker, and uses one that comes while it runs."""
    line = "echo $GOVERNESS_WORKER; sleep 0.5; : {}"
    process = subprocess.Popen(
        [sys.executable, "-m", "governess", "run", "--on", cluster.address, line, ":::", *map(str, range(40))],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    cluster.start_worker("first")
    addresses = {process.stdout.readline()}
    cluster.start_worker("second")
    addresses |= set(process.communicate(timeout=60)[0].splitlines(keepends=True))
    assert process.returncode == 0
    assert len(addresses) == 2


def test_from_a_program(module_cluster: Cluster, tmp_path: Path) -> None:
    """`DaskEngine` takes a client, and its connection; the results name the host."""
    program = tmp_path / "program.py"
    program.write_text(
        """if True:
        import asyncio, sys
        from distributed import Client
        from governess.jobs import Job, JobOptions, run_jobs
        from governess.jobs.dask import DaskEngine

        async def main(client):
            jobs = [Job("echo out", "a"), Job("sleep 60", "b", options=JobOptions(timeout=0.5)), Job("exit 3", "c")]
            async with run_jobs(jobs, engine=DaskEngine(client)) as run:
                found = {result.name: result async for result in run}
            print({name: str(result.status) for name, result in sorted(found.items())})
            print({"tcp://127.0.0.1" in result.host for result in found.values()})
            async with run_jobs([Job("sleep 60")], engine=DaskEngine(client)) as run:
                await asyncio.sleep(1)

        if __name__ == "__main__":
            with Client(sys.argv[1]) as client:
                asyncio.run(main(client))
                print(client.submit(sum, [1, 2]).result())
        """
    )
    done = subprocess.run(
        [sys.executable, program, module_cluster.address], capture_output=True, text=True, timeout=60, cwd=tmp_path
    )
    expected = "out\n{'a': '0', 'b': 'timed out', 'c': '3'}\n{True}\n3\n"
    assert done.stdout == expected, done.stderr


def test_jobs_here_do_not_import_dask(tmp_path: Path) -> None:
    """A run on this machine does not import Dask."""
    code = (
        "import asyncio, sys; from governess.jobs import Job, run_jobs\n"
        "async def main():\n    return await run_jobs([Job('true')])\n"
        "assert asyncio.run(main()).succeeded == 1\n"
        "print([name for name in ('dask', 'distributed', 'tornado', 'governess.jobs.dask') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_without_dask() -> None:
    """Without Dask `--on` says what to install."""
    code = (
        "import sys; sys.modules['distributed'] = None\n"
        "from governess.cli import main\n"
        "sys.argv[1:] = ['run', '--on', 'tcp://127.0.0.1:9', 'true', ':::', 'x']\n"
        "sys.exit(main())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 255
    assert done.stderr.startswith("governess run: --on needs Dask: pip install 'governess[dask]'")
