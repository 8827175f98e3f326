"""What a round does: decided by the seed and the number of the round alone, so that any round can be run again."""

from __future__ import annotations

import importlib.util
import random
from dataclasses import dataclass

__all__ = ["HAZARDS", "Plan", "plan_of"]

LOOPS = ("asyncio", "uvloop") if importlib.util.find_spec("uvloop") else ("asyncio",)
POLICIES = ("default", "default", "limited", "priority", "threaded")
WATCHERS = (*["pidfd"] * 8, "threaded", "threaded", "multiloop", "safe", "fast")
PLACES = ("main thread", "main thread", "another thread", "three threads")

#: What happens to the children and their parent, and how often a round has it.
HAZARDS = {
    "nothing": 28,
    "faults": 40,
    "a thief": 8,
    "faults and a thief": 4,
    "raising signals": 6,
    "stops": 4,
    "forks": 4,
    "closed loops": 4,
    "kill -9": 2,
}


@dataclass(frozen=True, slots=True)
class Plan:
    """One round, which runs in a process of its own.

    Attributes:
        seed: of the campaign.
        number: of the round.
        hazard: one of `HAZARDS`.
        loop: which loop class.
        policy: which policy makes the loops.
        watcher: the short name of the watcher.
        place: where the loops run.
        pure: whether children are started by Popen.
        batches: how many loops there are, one after the other; after each one there is a look for leaks.
        cases: how many scenarios each of them runs.
        at_once: how many at the same time.
    """

    seed: int
    number: int
    hazard: str
    loop: str
    policy: str
    watcher: str
    place: str
    pure: bool
    batches: int
    cases: int
    at_once: int

    def rng(self, *words: object) -> random.Random:
        """Return what decides about a part of the round."""
        return random.Random(f"{self.seed}/{self.number}/{'/'.join(map(str, words))}")

    def __str__(self) -> str:
        spawner = "Popen" if self.pure else "native"
        return f"{self.hazard}; {self.loop}, {self.policy} policy, {self.watcher}, {spawner}, {self.place}"


def plan_of(seed: int, number: int) -> Plan:
    """Return the plan of a round."""
    rng = random.Random(f"{seed}/{number}")
    hazard = rng.choices(list(HAZARDS), list(HAZARDS.values()))[0]
    policy, place, watcher = rng.choice(POLICIES), rng.choice(PLACES), rng.choice(WATCHERS)
    pure = rng.random() < 0.25
    if hazard in ("raising signals", "closed loops"):
        place = "main thread"
        policy = "default" if policy == "threaded" else policy
    if policy == "threaded":
        place = "main thread"
    if hazard == "kill -9":
        pure = False
    has_faults = "faults" in hazard
    return Plan(
        seed=seed,
        number=number,
        hazard=hazard,
        loop=rng.choice(LOOPS),
        policy=policy,
        watcher=watcher,
        place=place,
        pure=pure,
        batches=60 if has_faults else 40,
        cases=rng.choice((6, 12, 25)) if has_faults else 60,
        at_once=rng.choice((1, 4, 8) if has_faults else (4, 16, 32)),
    )
