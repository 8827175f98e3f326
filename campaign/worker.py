"""One round, in a process of its own: `python -m campaign.worker SEED ROUND BUILD FOLDER REPORT [BATCH]`.

It writes a line of JSON into the report for each batch, and a last one about its memory. A batch that does not end in
its time is a hang: the stacks of all threads go to standard error, and the process ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import gc
import json
import math
import os
import random
import signal
import sys
import threading
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

import governess
from campaign import hazards, kernel
from campaign.build import Programs
from campaign.case import Case, Verdict, attempt, explained
from campaign.checks import MARK, Snapshot, leaks, marked_processes, memory
from campaign.faults import Shim
from campaign.hangs import describe_hang
from campaign.plan import Plan, plan_of
from campaign.scenarios import SCENARIOS
from campaign.settings import make_policy, run_in_place
from campaign.uncaught import Uncaught
from governess.children._spawn import spawner

__all__ = ["HANG", "PATIENCE", "Worker", "main"]

#: Seconds that a batch may take, and that its threads and children have to end by themselves.
HANG, PATIENCE = float(os.environ.get("HANG", 90)), 10.0

#: How much more a round may have at its end than after a third of it.
MORE_BYTES, MORE_OBJECTS = 12 * 2**20, 3000


#: In these rounds other code reaps the children of others, or an interrupt keeps their starter from that.
NO_STRANGERS = ("a thief", "faults and a thief", "raising signals")


class Worker:
    """Runs the batches of a round."""

    def __init__(self, plan: Plan, programs: Programs, folder: Path, mark: str) -> None:
        """Be ready for the round of the plan; `folder` is for temporary files."""
        self.plan = plan
        self.programs = programs
        self.folder = folder
        self.mark = mark
        self.scenarios = dict(SCENARIOS)
        self.shim = Shim(programs.shim) if "faults" in plan.hazard else None
        self.policy = make_policy(plan)
        if self.shim is not None:
            self.policy.new_event_loop().close()  # which loads what makes the calls
            self.shim.spare(library="uvloop/loop")
        self.children = 0
        self.before: Snapshot | None = None
        self._lock = threading.Lock()
        self._arrived = 0
        self._uncaught = Uncaught(plan.hazard)
        if plan.watcher == "fast" or plan.hazard in NO_STRANGERS:
            del self.scenarios["watch_a_stranger"]

    def prepare(self) -> None:
        """Run each scenario once, so that what comes once is there, and look at what there is."""
        self._uncaught.listen()
        kernel.tells_lost_exits(), kernel.signals_groups()  # before anybody reaps or fails
        threading.Thread(target=self._tell_of_hang, name="campaign-watchdog", daemon=True).start()
        verdict = Verdict()
        rng = self.plan.rng("prepare")

        async def main(number: int) -> None:
            for name, (scenario, _) in self.scenarios.items():
                await attempt(name, scenario, self._case(rng, verdict))

        faulthandler.dump_traceback_later(HANG, exit=True)
        run_in_place(self.plan, self.policy, main)
        if verdict.problems:
            raise RuntimeError("\n".join(verdict.problems))
        gc.collect()
        self.before = Snapshot.take(self.mark, self.folder)

    def run_batch(self, batch: int) -> dict[str, Any]:
        """Run a batch, and look for what it has left behind; return what came of it."""
        faulthandler.dump_traceback_later(HANG, exit=True)
        self._began = time.monotonic()
        self._uncaught.forget()
        self._arrived = 0
        started_before = self.children
        rng = self.plan.rng(batch)
        verdict, errors = Verdict(), frozenset[int]()
        self._choose_way(rng)
        if self.shim is not None:
            self.shim.choose_some(rng)
            errors = self.shim.errors
        began = time.monotonic()
        stolen = self._run(rng, verdict, errors)
        ran = time.monotonic()
        faults = self.shim.end() if self.shim is not None else Counter()
        self._uncaught.check(verdict, errors)
        if not self.has_stuck_loop:  # which keeps its descriptors
            self._check_health(verdict)  # first: what waited for a thread of the reaper has it with the next child
            self._check_leaks(verdict)
        if verdict.problems and self.shim is not None:
            verdict.problems.append(f"faults: {self.shim.describe()}")
        return {
            "batch": batch,
            "seconds": [round(ran - began, 2), round(time.monotonic() - ran, 2)],
            "children": self.children - started_before,
            "faults": [[*key, number] for key, number in faults.items()],
            "stolen": stolen,
            "done": verdict.done,
            "surfaced": verdict.surfaced,
            "lost": verdict.lost,
            "problems": verdict.problems,
        }

    # ---- a batch ----

    def _run(self, rng: random.Random, verdict: Verdict, errors: frozenset[int]) -> int:
        """Run the scenarios amid the hazards; return how many children a thief has reaped."""
        hazard = self.plan.hazard
        # Not with uvloop: the end of a run needs a socket pair there, without which the loop is of no use any more.
        stays_armed = rng.random() < 0.3 and self.plan.loop == "asyncio"
        seeds = [rng.getrandbits(64) for _ in range(3)]
        taken = None

        async def main(number: int) -> None:
            await self._cases(random.Random(seeds[number]), verdict, errors)
            if self.shim is not None and not stays_armed:
                self.shim.pause()

        with contextlib.ExitStack() as stack:
            if "thief" in hazard:
                before = self._taken
                taken = stack.enter_context(hazards.thief(self.programs.thief, rng))
            if hazard == "forks":
                stack.enter_context(hazards.forks(rng, str(self.programs.child), verdict.problems))
            try:
                if hazard == "closed loops":
                    hazards.run_and_close(self.policy, main(0), rng)
                elif hazard == "raising signals":
                    self.has_stuck_loop |= hazards.run_and_interrupt(self.policy, main(0), rng, verdict)
                else:
                    run_in_place(self.plan, self.policy, main)
            except Exception as error:
                if (reason := explained(error, errors)) is None:
                    raise
                verdict.surfaced[f"the loop: {reason}"] += 1
        if taken is None:
            return 0
        self._taken = taken()
        return self._taken - before

    _taken = 0
    has_stuck_loop = False

    async def _cases(self, rng: random.Random, verdict: Verdict, errors: frozenset[int]) -> None:
        names = rng.choices(list(self.scenarios), [weight for _, weight in self.scenarios.values()], k=self.plan.cases)
        work = iter([(name, rng.getrandbits(64)) for name in names])

        async def some() -> None:
            for name, seed in work:
                await attempt(name, self.scenarios[name][0], self._case(random.Random(seed), verdict, errors))

        tasks = [asyncio.ensure_future(some()) for _ in range(self.plan.at_once)]
        self._arrive()
        await asyncio.gather(*tasks)

    def _arrive(self) -> None:
        """Let the faults begin when all loops are there: a loop that is being made is not this package's."""
        with self._lock:
            self._arrived += 1
            is_last = self._arrived == (3 if self.plan.place == "three threads" else 1)
        if is_last and self.shim is not None:
            self.shim.resume()

    def _case(self, rng: random.Random, verdict: Verdict, errors: frozenset[int] = frozenset()) -> Case:
        # From birth: it tells the exit, whoever has reaped the child. One that comes later may be too late.
        has_pidfd = self._has_pidfd_from_birth and not errors
        return Case(
            rng=rng,
            program=str(self.programs.child),
            folder=self.folder,
            verdict=verdict,
            errors=errors,
            may_lose="thief" in self.plan.hazard and not (has_pidfd and kernel.tells_lost_exits()),
            keeps_groups=(has_pidfd and kernel.signals_groups())
            or not ("thief" in self.plan.hazard or self.plan.watcher == "fast"),
            has_native=spawner().name == "native",
            loop_is_closed=self.plan.hazard == "closed loops",
        )

    _has_pidfd_from_birth = False

    def _choose_way(self, rng: random.Random) -> None:
        """Begin with the best way to start a child again, or with another one."""
        if self.plan.pure:
            return
        with contextlib.suppress(ImportError):
            from governess.children._spawn import _native

            way = rng.choices(["clone with a pidfd", "vfork with a pidfd", "clone", "vfork"], [7, 1, 1, 1])[0]
            _native.set_way(way)
            self._has_pidfd_from_birth = way.endswith("with a pidfd")

    # ---- what is left behind ----

    _began = math.inf

    def _tell_of_hang(self) -> None:
        """Write tasks, children and faults to standard error, shortly before the time of a batch is over."""
        while time.monotonic() < self._began + 0.8 * HANG:
            time.sleep(1)
        if self.shim is not None:
            print("faults:", self.shim.describe(), file=sys.stderr)
        print(describe_hang(), file=sys.stderr, flush=True)

    def _check_leaks(self, verdict: Verdict) -> None:
        """Look for what is left behind; tell of it once."""
        assert self.before is not None
        if found := leaks(self.before, PATIENCE, self.mark, self.folder):
            if not self._is_of_an_interrupted_call(found):
                verdict.problems += [f"left behind: {leak}" for leak in found]
            for pid in marked_processes(self.mark) - {os.getpid()}:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.1)
            self.before = Snapshot.take(self.mark, self.folder)

    def _is_of_an_interrupted_call(self, found: list[str]) -> bool:
        """Return whether it is one descriptor: what os.dup() returns to an interrupt, Python code never has."""
        return self.plan.hazard == "raising signals" and len(found) == 1 and "[pidfd]" in found[0]

    def _check_health(self, verdict: Verdict) -> None:
        """Check that a child can be started and ends right, now that nothing fails any more."""
        after = Verdict()

        async def main(number: int) -> None:
            for name in ("exec_and_wait", "run_plain"):
                await attempt(name, SCENARIOS[name][0], self._case(self.plan.rng("health"), after))

        try:
            run_in_place(self.plan, self.policy, main)
        except Exception:
            after.problems.append(traceback.format_exc())
        verdict.problems += [f"after the batch: {problem}" for problem in after.problems]


def run_round(worker: Worker, report: Any, batches: range) -> None:
    """Run the batches of a round, and write what came of each."""

    def write(**what: Any) -> None:
        print(json.dumps(what), file=report, flush=True)

    def count(child: governess.Child) -> None:
        worker.children += 1

    with governess.observe(on_spawn=count):
        worker.prepare()
        write(prepared=True)
        early = None
        for batch in batches:
            write(**worker.run_batch(batch))
            if worker.has_stuck_loop:
                break
            if batch == batches.stop // 3:
                early = memory()
        late = memory()
    problems = []
    more_bytes = more_objects = 0
    if early is not None:
        more_bytes, more_objects = late.resident - early.resident, late.objects - early.objects
        if more_bytes > MORE_BYTES or more_objects > MORE_OBJECTS:
            problems = [f"memory grows: {more_bytes} bytes, {more_objects} objects since the first third"]
    write(over=True, more_bytes=more_bytes, more_objects=more_objects, problems=problems)


def main(seed: str, number: str, build: str, folder: str, report: str, batch: str = "") -> None:
    """Run a round."""
    os.environ.pop("LD_PRELOAD", None)  # the children are left alone
    plan = plan_of(int(seed), int(number))
    worker = Worker(plan, Programs.in_folder(Path(build)), Path(folder), os.environ[MARK])
    batches = range(int(batch), int(batch) + 1) if batch else range(plan.batches)
    with open(report, "w") as file:
        try:
            run_round(worker, file, batches)
        except BaseException:
            print(json.dumps({"problems": [traceback.format_exc()]}), file=file, flush=True)
            raise
    faulthandler.cancel_dump_traceback_later()


if __name__ == "__main__":
    main(*sys.argv[1:])
