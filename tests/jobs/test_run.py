"""Jobs run from a program, by real processes."""

import asyncio
import sys
import time
from collections.abc import Iterable
from itertools import accumulate
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("needs sh", allow_module_level=True)

from governess.jobs import (
    Attempt,
    Backoff,
    Files,
    Halt,
    Job,
    JobOptions,
    JobResult,
    PlanError,
    PoolError,
    RetryOn,
    State,
    run_jobs,
)


async def results(*jobs: Job, **options: object) -> dict[str, JobResult]:
    async with run_jobs(list(jobs), **options) as run:  # type: ignore[arg-type]
        return {result.name: result async for result in run}


def test_a_diamond_with_a_branch_that_fails(tmp_path: Path) -> None:
    """Jobs that wait for one that failed are skipped, and the rest runs, in order."""
    log = tmp_path / "log"

    def job(name: str, *after: str, code: int = 0) -> Job:
        return Job(f"echo {name} >>{log}; exit {code}", name, after=after)

    found = asyncio.run(
        results(
            *(job("top"), job("left", "top", code=3), job("right", "top"), job("bottom", "left", "right")),
            *(job("after", "bottom"), job("other", "right")),
            slots=2,
        )
    )
    assert {name: result.state for name, result in found.items()} == {
        "top": State.DONE,
        "left": State.FAILED,
        "right": State.DONE,
        "bottom": State.SKIPPED,
        "after": State.SKIPPED,
        "other": State.DONE,
    }
    assert found["bottom"].reason == "left has not succeeded"
    assert not found["bottom"].failed
    order = log.read_text().split()
    assert order[0] == "top"
    assert sorted(order[1:]) == ["left", "other", "right"]


def test_a_circle_starts_nothing(tmp_path: Path) -> None:
    """Jobs that wait for each other are refused before any other starts."""
    jobs = [Job(f"touch {tmp_path}/started", "x"), Job("a", "a", after=("b",)), Job("b", "b", after=("a",))]
    with pytest.raises(PlanError, match="circle"):
        run_jobs(jobs)
    assert not (tmp_path / "started").exists()


def test_tries_with_a_backoff(tmp_path: Path) -> None:
    """A job that exits with 75 twice is tried again after 0.2 and 0.4 s; another status is not tried again."""
    script = f"date +%s.%N >>{tmp_path}/starts; echo $GOVERNESS_TRY >>{tmp_path}/tries; "
    script += f"[ $(wc -l <{tmp_path}/starts) -ge 3 ] || exit 75"
    options = JobOptions(tries=4, backoff=Backoff(0.2, 10), retry_on=RetryOn.parse("75"))
    found = asyncio.run(
        results(Job(script, "a"), Job(f"echo x >>{tmp_path}/once; exit 1", "b"), slots=2, options=options)
    )
    assert (found["a"].state, found["a"].tries) == (State.DONE, 3)
    assert (found["b"].state, found["b"].tries) == (State.FAILED, 1)
    starts = [float(line) for line in (tmp_path / "starts").read_text().split()]
    assert 0.15 < starts[1] - starts[0] < 0.2 * 1.2 + 2
    assert 0.31 < starts[2] - starts[1] < 0.4 * 1.2 + 2
    assert (tmp_path / "tries").read_text().split() == ["2", "3"]
    assert (tmp_path / "once").read_text() == "x\n"


def test_reasons_for_a_try() -> None:
    """A timeout and a signal are tried again if that is said; a command that does not exist never is."""
    options = JobOptions(tries=2, timeout=0.2, grace=0.1)
    found = asyncio.run(
        results(
            *(Job(("sleep", "60"), "slow"), Job("kill -9 $$", "killed"), Job(("/no/such",), "missing")),
            slots=3,
            options=options,
        )
    )
    assert {name: (result.state, result.tries, result.status) for name, result in found.items()} == {
        "slow": (State.TIMEOUT, 2, "timed out"),
        "killed": (State.FAILED, 2, "SIGKILL"),
        "missing": (State.FAILED, 1, "127"),
    }


def test_what_a_job_gets(tmp_path: Path) -> None:
    """A job has its folder, its variables and its input, bytes or a file; and writes to the files that are given."""
    (tmp_path / "input").write_text("from a file\n")
    jobs = [
        Job("pwd; echo $COLOUR; cat", "bytes", cwd=str(tmp_path), env={"COLOUR": "red"}, stdin=b"x" * 200_000),
        Job("cat; echo oops >&2", "file", cwd=str(tmp_path), stdin=Path("input")),
    ]

    def output(attempt: Attempt) -> Files:
        return Files(tmp_path / f"{attempt.job.name}.out", tmp_path / f"{attempt.job.name}.err")

    found = asyncio.run(results(*jobs, output=output))
    assert (tmp_path / "bytes.out").read_text() == f"{tmp_path}\nred\n" + "x" * 200_000
    assert (tmp_path / "file.out").read_text() == "from a file\n"
    assert (tmp_path / "file.err").read_text() == "oops\n"
    assert found["file"].stderr == tmp_path / "file.err"


def test_outputs_of_a_job_that_fails(tmp_path: Path) -> None:
    """The files that a job was to make are removed if it does not end well."""
    jobs = [
        Job("echo half >bad; exit 1", "bad", cwd=str(tmp_path), outputs=("bad", "never")),
        Job("echo whole >good", "good", cwd=str(tmp_path), outputs=("good",)),
        Job("echo half >slow; sleep 60", "slow", cwd=str(tmp_path), outputs=("slow",), options=JobOptions(timeout=0.3)),
    ]
    asyncio.run(results(*jobs, slots=3))
    assert [path.name for path in tmp_path.iterdir()] == ["good"]


def test_memory_of_a_job_is_bounded() -> None:
    """A job that uses more than it declared, with what it has started, is ended; its neighbours live."""
    hungry = f"{sys.executable} -c 'import time; x = bytearray(200 << 20); time.sleep(60)' & wait"
    options = JobOptions(memory=100 << 20)
    found = asyncio.run(
        results(Job(hungry, "hungry", options=options), Job("sleep 0.5", "modest", options=options), slots=2)
    )
    assert (found["hungry"].state, found["hungry"].status) == (State.MEMORY, "memory")
    assert found["modest"].state is State.DONE


def test_a_pool_of_memory() -> None:
    """Jobs that declare memory never run together if the pool has not enough for both."""
    jobs = [Job(("sleep", "0.1"), str(number), options=JobOptions(memory=400 << 20)) for number in range(10)]

    found = asyncio.run(results(*jobs, slots=10, pools={"memory": 1 << 30}))
    assert {result.state for result in found.values()} == {State.DONE}
    assert most_at_once(found.values()) == 2


def most_at_once(results: Iterable[JobResult]) -> int:
    """Return how many ran at the same time, at most."""
    changes = [(result.started, 1) for result in results]
    changes += [(result.started + result.duration, -1) for result in results]
    return max(accumulate(change for _, change in sorted(changes)))


def test_tokens_have_numbers(tmp_path: Path) -> None:
    """Two jobs that run at once never have the same token."""
    script = f"mkdir {tmp_path}/$GOVERNESS_TOKEN_GPU && sleep 0.05 && rmdir {tmp_path}/$GOVERNESS_TOKEN_GPU"
    jobs = [Job(script, str(number)) for number in range(12)]
    found = asyncio.run(results(*jobs, slots=8, pools={"gpu": 2}, options=JobOptions(tokens={"gpu": 1})))
    assert {result.state for result in found.values()} == {State.DONE}


def test_a_job_that_never_could_run(tmp_path: Path) -> None:
    """A job that needs more than there is, is refused before anything starts."""
    jobs = [Job(f"touch {tmp_path}/started"), Job("true", "greedy", options=JobOptions(cpus=10_000))]
    with pytest.raises(PoolError, match="greedy needs 10000 processors"):
        asyncio.run(results(*jobs))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("halt", "started", "status"),
    [("now,fail=1", 2, 7), ("soon,fail=1", 2, 7), ("now,success=1", 1, 0), ("now,done=2", 2, 1), ("never", 4, 1)],
)
def test_halt(halt: str, started: int, status: int) -> None:
    """The rule ends the run, and decides its exit status."""
    jobs = [Job(("true",)), Job("exit 7"), Job(("true",)), Job(("true",))]

    async def main() -> tuple[int, int]:
        summary = await run_jobs(jobs, slots=1, halt=Halt.parse(halt))
        return summary.started, summary.exit_status

    assert asyncio.run(main()) == (started, status)


def test_a_percentage_of_the_median() -> None:
    """A job that takes more than its multiple of the median of the others is ended."""
    jobs = [Job(("sleep", "0.1"), str(number)) for number in range(4)] + [Job(("sleep", "60"), "slow")]
    found = asyncio.run(results(*jobs, slots=2, options=JobOptions(timeout_factor=5)))
    assert found["slow"].state is State.TIMEOUT
    assert found["slow"].duration < 30


def test_leaving_the_block_ends_what_runs() -> None:
    """Nobody is left behind when the block is left early, with an error or by a cancellation."""

    async def main() -> None:
        began = time.monotonic()
        async with run_jobs([Job(("true",)), Job(("sleep", "60"))], slots=2) as run:
            async for result in run:
                assert result.number == 1
                break
        assert run.summary.cancelled == 1
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await run_jobs([Job("trap '' TERM; sleep 60 & wait; sleep 60")], options=JobOptions(grace=0.2))
        assert time.monotonic() - began < 20

    asyncio.run(main())


def test_many_jobs_are_taken_one_by_one() -> None:
    """Of a stream of jobs only those that run exist."""
    made = 0

    def stream() -> object:
        nonlocal made
        for _ in range(1000):
            made += 1
            yield Job(("true",))

    async def main() -> None:
        async with run_jobs(stream(), slots=2) as run:  # type: ignore[arg-type]
            async for _ in run:
                assert made <= run.summary.finished + 4
                if run.summary.finished >= 20:
                    run.stop()
        assert made < 30

    asyncio.run(main())


def test_a_second_run_of_one_object() -> None:
    """Each run_jobs() is good for one run."""

    async def main() -> None:
        run = run_jobs([Job(("true",))])
        await run
        with pytest.raises(RuntimeError, match="used only once"):
            await run

    asyncio.run(main())
