"""Commands in any order and at any moment, while services die: nothing hangs, and nobody is left."""

import asyncio
import os
import random
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from governess.services import LogLine, Service, ServiceError, State, Supervisor
from supervision import supervised

FOREVER = "exec sleep 1000"
SERVICES = (
    Service("db", "sleep 0.05; echo up; exec sleep 1000", ready=LogLine("up"), grace=0.5),
    Service("web", FOREVER, copies=3, after=("db",), grace=0.5),
    Service("dies", "sleep 0.02; exit 1", grace=0.5),
    Service("stubborn", "trap '' TERM; while :; do sleep 0.05; done", after=("dies",), grace=0.3),
    Service("tail", FOREVER, after=("web", "db"), grace=0.5),
)
NAMES = ("db", "web", "web.1", "dies", "stubborn", "tail", "*", "w*")


async def one_command(supervisor: Supervisor, rng: random.Random) -> None:
    names = [rng.choice(NAMES) for _ in range(rng.randrange(1, 3))]
    with suppress(ServiceError):  # a copy that is not there now, or was not ready in a restart of several
        match rng.randrange(8):
            case 0 | 1:
                await supervisor.stop(names)
            case 2 | 3:
                await supervisor.start(names)
            case 4 | 5:
                await supervisor.restart(names)
            case 6:
                await supervisor.scale("web", rng.randrange(0, 4))
            case 7:
                for pid in rng.sample(sorted(supervisor.processes().values()), min(2, len(supervisor.processes()))):
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("seed", range(4))
def test_any_order(run: Any, seed: int) -> None:
    """Each command ends in its time; then `start` brings all back, and the end of the block ends all."""
    rng = random.Random(seed)
    pids: set[int] = set()

    async def main() -> None:
        async with supervised(*SERVICES) as seen:
            supervisor = seen.supervisor

            async def client() -> None:
                for _ in range(12):
                    await asyncio.sleep(rng.random() * 0.1)
                    async with asyncio.timeout(30):
                        await one_command(supervisor, rng)
                    pids.update(supervisor.processes().values())

            await asyncio.gather(*(client() for _ in range(6)))
            await supervisor.scale("web", 2)
            await supervisor.start()
            wanted = {"db.1": State.READY, "web.1": State.READY, "web.2": State.READY}

            def states() -> dict[str, State]:
                return {status.name: status.state for status in supervisor.status()}

            while not wanted.items() <= states().items():
                await supervisor.events.changed()
            assert set(states()) == {"db.1", "web.1", "web.2", "dies.1", "stubborn.1", "tail.1"}
            pids.update(supervisor.processes().values())

    run(main())
    assert len(pids) > 10
    assert not [pid for pid in pids if Path(f"/proc/{pid}/environ").exists() and is_ours(pid)]


def is_ours(pid: int) -> bool:
    try:
        return b"GOVERNESS_SERVICE=" in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
