"""Runs rounds, each in a process of its own, with a watchdog; kills or stops some of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from campaign.build import Programs
from campaign.checks import MARK, command, marked_processes
from campaign.plan import Plan

__all__ = ["Outcome", "run_round"]

ROOT = Path(__file__).parent.parent

#: Seconds that a round may take, whatever its batches do; and what it leaves behind has to end.
ROUND, AFTERWARDS = 1200.0, 10.0


@dataclass(slots=True)
class Outcome:
    """What came of a round.

    Attributes:
        plan: what it was to do.
        children: how many children were started.
        batches: how many batches came to their end.
        faults: how many faults were injected, by the call and the error.
        done: how many scenarios were run, by name.
        surfaced: how many errors the callers got, by kind.
        stolen: how many children a thief has reaped.
        lost: how many exits were lost by that.
        kills: how many times the process was killed with children that are to die with it.
        seconds: how long it took.
        more_bytes: how much resident memory the process has won since the first third of the round.
        problems: what was wrong.
    """

    plan: Plan
    children: int = 0
    batches: int = 0
    faults: Counter[tuple[str, str]] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)
    surfaced: Counter[str] = field(default_factory=Counter)
    stolen: int = 0
    lost: int = 0
    kills: int = 0
    seconds: float = 0.0
    more_bytes: int = 0
    problems: list[str] = field(default_factory=list)

    def read(self, line: str) -> bool:
        """Take in a line of the worker's report; return whether it was the last one."""
        told: dict[str, Any] = json.loads(line)
        self.batches += "batch" in told
        self.children += told.get("children", 0)
        self.stolen += told.get("stolen", 0)
        self.lost += told.get("lost", 0)
        self.more_bytes = told.get("more_bytes", self.more_bytes)
        self.done.update(told.get("done", {}))
        self.surfaced.update(told.get("surfaced", {}))
        for call, error, number in told.get("faults", ()):
            self.faults[call, error] += number
        where = f"batch {told['batch']}: " if "batch" in told else ""
        self.problems += [where + problem for problem in told.get("problems", ())]
        return "over" in told


def run_round(plan: Plan, programs: Programs, batch: int | None = None) -> Outcome:
    """Run a round, or one batch of it, and return what came of it."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="campaign-") as room:
        outcome = _Round(plan, programs, Path(room)).run(batch)
    outcome.seconds = time.monotonic() - began
    return outcome


class _Round:
    def __init__(self, plan: Plan, programs: Programs, room: Path) -> None:
        self.outcome = Outcome(plan)
        self.plan = plan
        self.programs = programs
        self.report = room / "report"
        self.complaints = room / "complaints"
        self.folder = room / "temporary"
        self.folder.mkdir()
        self.mark = room.name
        self.rng = plan.rng("outside")

    def run(self, batch: int | None) -> Outcome:
        script = "campaign.orphans" if self.plan.hazard == "kill -9" else "campaign.worker"
        words = [self.plan.seed, self.plan.number, self.programs.child.parent, self.folder, self.report]
        words += [] if batch is None else [batch]
        with self.complaints.open("wb") as complaints:
            worker = subprocess.Popen(
                [sys.executable, "-m", script, *map(str, words)],
                cwd=ROOT,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=complaints,
                start_new_session=True,
            )
            try:
                if self.plan.hazard == "kill -9":
                    self._kill(worker)
                elif self.plan.hazard == "stops":
                    self._stop_and_continue(worker)
                else:
                    self._wait(worker, lambda: time.sleep(0.05))
            finally:
                worker.kill()
                worker.wait()
        self._read(worker.returncode)
        self._look_for_survivors()
        return self.outcome

    def _environment(self) -> dict[str, str]:
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        environment = {**os.environ, MARK: self.mark, "TMPDIR": str(self.folder), "PYTHONPATH": path}
        environment["GOVERNESS_PURE"] = "1" if self.plan.pure else ""
        if "faults" in self.plan.hazard:
            environment["LD_PRELOAD"] = str(self.programs.shim)
        return environment

    def _wait(self, worker: subprocess.Popen[bytes], meanwhile: Callable[[], object]) -> None:
        deadline = time.monotonic() + ROUND
        while worker.poll() is None:
            if time.monotonic() > deadline:
                self.outcome.problems.append(f"the round has not ended in {ROUND:g} seconds")
                worker.send_signal(signal.SIGABRT)  # faulthandler writes the stacks
                with suppress(subprocess.TimeoutExpired):
                    worker.wait(10)
                return
            meanwhile()

    def _stop_and_continue(self, worker: subprocess.Popen[bytes]) -> None:
        def stop() -> None:
            time.sleep(self.rng.random() * 0.1)
            worker.send_signal(signal.SIGSTOP)
            time.sleep(self.rng.random() ** 3 * 0.5)
            worker.send_signal(signal.SIGCONT)

        self._wait(worker, stop)

    def _kill(self, worker: subprocess.Popen[bytes]) -> None:
        """Kill the worker at a random instant after it has begun to start children."""
        deadline = time.monotonic() + 30
        while not (self.report.exists() and self.report.read_text()) and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(self.rng.random())
        self.outcome.children = self.report.stat().st_size if self.report.exists() else 0
        if worker.poll() is not None or not self.outcome.children:
            self.outcome.problems.append(f"the process that was to be killed has ended with {worker.poll()}")
        worker.kill()
        self.outcome.kills += 1

    def _read(self, status: int) -> None:
        if self.plan.hazard == "kill -9":
            return
        lines = self.report.read_text().splitlines() if self.report.exists() else []
        was_last = [self.outcome.read(line) for line in lines]
        if not any(was_last) or status != 0:
            complaints = self.complaints.read_text(errors="replace")
            self.outcome.problems.append(
                f"the process ended with {status} in batch {self.outcome.batches}; it said:\n{complaints[-12_000:]}"
            )

    def _look_for_survivors(self) -> None:
        deadline = time.monotonic() + AFTERWARDS
        while (survivors := marked_processes(self.mark)) and time.monotonic() < deadline:
            time.sleep(0.01)
        for pid in survivors:
            self.outcome.problems.append(f"process {pid} ({command(pid)}) has survived the round")
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
