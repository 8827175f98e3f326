"""What jobs on a cluster cost, beside plain tasks that run the same programs."""

import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import Cluster

COUNT = 5000
ROUNDS = 3

MAP = """if True:
    import subprocess, sys, time
    from distributed import Client

    if __name__ == "__main__":
        with Client(sys.argv[1]) as client:
            client.wait_for_workers(2)
            began = time.perf_counter()
            done = client.gather(client.map(subprocess.run, [["true"]] * int(sys.argv[2]), pure=False))
            print(time.perf_counter() - began)
            assert all(each.returncode == 0 for each in done)
"""

JOBS = """if True:
    import asyncio, sys
    from governess.jobs import Job, run_jobs
    from governess.jobs.dask import DaskEngine

    async def main():
        jobs = [Job(("true",)) for _ in range(int(sys.argv[2]))]
        async with run_jobs(jobs, engine=DaskEngine(sys.argv[1])) as run:
            summary = await run.wait()
        print(summary.duration)
        assert summary.succeeded == len(jobs)

    asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_cost(module_cluster: Cluster, tmp_path: Path) -> None:
    """Many short jobs take at most 1.3 times as long as plain tasks that start the program; the best of each counts."""
    took: dict[str, list[float]] = {"map": [], "jobs": []}
    for _ in range(ROUNDS):
        for name, program in (("map", MAP), ("jobs", JOBS)):
            path = tmp_path / f"{name}.py"
            path.write_text(program)
            command = [sys.executable, str(path), module_cluster.address, str(COUNT)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            took[name].append(float(done.stdout))
    ratio = min(took["jobs"]) / min(took["map"])
    print(f"{COUNT} times true: {took}, ratio {ratio:.2f}")
    assert ratio <= 1.3
