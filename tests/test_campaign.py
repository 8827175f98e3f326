"""`python -m campaign`: its checks find what is planted, its faults fire, and what they have shown stays mended."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the campaign is for Linux")

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from campaign.build import NoCompiler, build

    folder = tmp_path_factory.mktemp("campaign")
    try:
        build(folder)
    except NoCompiler as obstacle:
        pytest.skip(str(obstacle))
    return folder


def run_python(script: str, programs: Path, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script of Python with the shim before the C library."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(programs), str(folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "LD_PRELOAD": str(programs / "shim.so"), **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


BATCH = """
    import asyncio, dataclasses, os, signal, subprocess, sys, threading, time
    from pathlib import Path
    from campaign import case, worker
    from campaign.build import Programs
    from campaign.plan import plan_of

    os.environ.pop("LD_PRELOAD")
    worker.PATIENCE, worker.HANG, case.BOUND = 0.2, 4.0, 0.5
    kept = []

    def orphan():
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.execvp("sleep", ["sleep", "3"])
            os._exit(0)
        os.wait()

    async def planted(case):
        kind = {kind!r}
        if kind == "descriptor":
            kept.append(os.open(os.devnull, os.O_RDONLY))
        elif kind == "thread":
            threading.Thread(target=time.sleep, args=(1,), daemon=True).start()
        elif kind == "zombie":
            os.posix_spawn("/bin/true", ["true"], os.environ)
        elif kind == "process":
            orphan()
        elif kind == "file":
            (case.folder / "left").touch()
        elif kind == "handler":
            signal.signal(signal.SIGTERM, lambda *_: None)
        elif kind == "status":
            case.check(3, 4)
        elif kind == "lost":
            from governess.children import Exit
            case.check(Exit.unknown(), 0)
        elif kind == "error":
            raise OSError(24, "nobody has injected it")
        elif kind == "slow":
            await asyncio.sleep(0.6)
        elif kind == "hang":
            time.sleep(20)
        elif kind == "exception in a task":
            asyncio.ensure_future(asyncio.wait_for(asyncio.sleep(9), 0)).add_done_callback(lambda _: None)
            await asyncio.sleep(0.01)

    plan = dataclasses.replace(
        plan_of(0, 0), hazard="nothing", loop="asyncio", policy="default", watcher="pidfd", place="main thread",
        pure=False, cases=1,
    )
    programs = Programs.in_folder(Path(sys.argv[1]))
    one = worker.Worker(plan, programs, Path(sys.argv[2]), os.environ[worker.MARK])
    one.scenarios = {{name: one.scenarios[name] for name in ("exec_and_wait", "run_plain")}}
    one.prepare()
    one.scenarios = {{"planted": (planted, 1)}}
    for problem in one.run_batch(0)["problems"]:
        print(problem.strip().splitlines()[-1])
    os._exit(0)
"""

PLANTED = {
    "nothing": "",
    "descriptor": "left behind: descriptor",
    "thread": "left behind: thread",
    "zombie": "left behind: child",
    "process": "left behind: process",
    "file": "left behind: temporary file",
    "handler": "left behind: signal handler",
    "status": "it ended with 3, and not with one of (4,)",
    "lost": "the exit is lost, and nobody has taken it",
    "error": "nobody has injected it",
    "slow": "it has taken",
    "exception in a task": "TimeoutError",
}


@pytest.mark.parametrize("kind", PLANTED)
def test_what_is_planted_is_found(kind: str, programs: Path, tmp_path: Path) -> None:
    """A batch tells of each kind of defect that a scenario has, and of none where there is none."""
    done = run_python(BATCH.format(kind=kind), programs, tmp_path, GOVERNESS_CAMPAIGN=f"test-{os.getpid()}-{kind}")
    assert done.returncode == 0, done.stderr
    assert PLANTED[kind] in done.stdout
    assert bool(PLANTED[kind]) == bool(done.stdout)


def test_a_hang_is_found(programs: Path, tmp_path: Path) -> None:
    """A batch that does not end in its time ends the process, with the stacks of its threads."""
    done = run_python(BATCH.format(kind="hang"), programs, tmp_path, GOVERNESS_CAMPAIGN=f"test-{os.getpid()}-hang")
    assert done.returncode == 1
    assert "Timeout (0:00:04)!" in done.stderr
    assert "in planted" in done.stderr


FAULT = """
    import asyncio, os, sys, time
    from pathlib import Path
    from campaign.faults import FAULTS, Shim
    from governess.children._spawn import _native
    from governess.subprocess import PIPE, create_subprocess_exec

    os.environ.pop("LD_PRELOAD")
    (fault,) = (fault for fault in FAULTS if fault.name == {name!r})
    shim = Shim(Path(sys.argv[1], "shim.so"))

    async def main():
        await (await create_subprocess_exec("true")).wait()
        shim.choose_one(fault, {error!r}, {at})
        shim.resume()
        try:
            process = await create_subprocess_exec("sleep", "0.1", stdout=PIPE)
            print(await process.wait())
        except OSError as error:
            print(error.errno)
        print(shim.end().total())

    asyncio.run(main())
"""


def test_a_fault_surfaces(programs: Path, tmp_path: Path) -> None:
    """A call that is made to fail does so once, and its error comes out of the start."""
    pytest.importorskip("governess.children._spawn._native", reason="the native spawner is not built")
    done = run_python(FAULT.format(name="pipe2", error="EMFILE", at=1), programs, tmp_path, GOVERNESS_PURE="")
    assert (done.stdout.split(), done.stderr) == (["24", "1"], "")


def test_death_signal_that_stays(programs: Path, tmp_path: Path) -> None:
    """A child that cannot take back the signal of its starter's end is an error, and is not killed by it."""
    pytest.importorskip("governess.children._spawn._native", reason="the native spawner is not built")
    fault = FAULT.format(name="PR_SET_PDEATHSIG", error="EPERM", at=2)  # the first call sets it
    done = run_python(fault, programs, tmp_path, GOVERNESS_PURE="")
    assert (done.stdout.split(), done.stderr) == (["1", "1"], "")


def test_the_plan_is_the_seeds() -> None:
    """A round is decided by the seed and its number, so that it can be run again."""
    from campaign.plan import HAZARDS, plan_of

    plans = [plan_of(1, number) for number in range(400)]
    assert plans == [plan_of(1, number) for number in range(400)]
    assert plans[:9] != [plan_of(2, number) for number in range(9)]
    assert {plan.hazard for plan in plans} == set(HAZARDS)
