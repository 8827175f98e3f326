"""The workers that a cluster has: who comes, who goes, and who cannot be used."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from governess.jobs.dask._connection import Connection
from governess.jobs.dask._messages import Hello
from governess.jobs.dask._remote import RemoteWorker
from governess.jobs.dask._versions import misfits, our_versions

__all__ = ["Members"]

# Seconds between two questions whether workers are done with the jobs of others, and how long they may take.
_ASK, _OTHERS_END = 0.5, 30.0


class Members:
    """The workers of a cluster.

    Args:
        connection: the connection to its scheduler.
        make: makes what stands for a worker, from its address and what it has told.
        on_lost: called with a worker that is gone, and why; and whether what it ran may be to blame.

    Attributes:
        workers: those that can be used, by address.
    """

    def __init__(
        self,
        connection: Connection,
        make: Callable[[str, Hello], RemoteWorker],
        on_lost: Callable[[RemoteWorker, str, bool], None],
    ) -> None:
        self.workers: dict[str, RemoteWorker] = {}
        self._connection = connection
        self._make = make
        self._on_lost = on_lost
        self._unfit: set[str] = set()

    async def look(self) -> list[str]:
        """Find out which workers have come and gone; return why some cannot be used that have come.

        Raises:
            OSError: the scheduler does not answer.
        """
        found = await self._connection.workers()
        for address in self.workers.keys() - found.keys():
            self._on_lost(self.workers.pop(address), "it is gone", True)
        new = [address for address in found if address not in self.workers and address not in self._unfit]
        return await self._greet(new) if new else []

    def lose_all(self, why: str) -> None:
        """Note that all workers are gone, whatever they ran."""
        lost, self.workers = list(self.workers.values()), {}
        for worker in lost:
            self._on_lost(worker, why, False)

    async def until_others_ended(self) -> None:
        """Wait while workers end jobs of runs that are gone: this run may go on with what such a run has begun."""
        ending = [address for address, worker in self.workers.items() if worker.info.ending]
        until = asyncio.get_running_loop().time() + _OTHERS_END
        while ending and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(_ASK)
            answers = await self._ask(ending)
            ending = [address for address, info in answers.items() if isinstance(info, Hello) and info.ending]

    async def _ask(self, addresses: list[str]) -> dict[str, object]:
        from governess.jobs.dask._plugin import hello

        client: Any = self._connection.client
        answers: dict[str, object] = await client.run(hello, workers=addresses, on_error="return")
        return answers

    async def _greet(self, addresses: list[str]) -> list[str]:
        problems: list[str] = []
        for address, answer in (await self._ask(addresses)).items():
            if isinstance(answer, OSError):
                continue  # it is gone again, or will be asked once more
            if not isinstance(answer, Hello):
                found = [f"the worker {address} cannot run jobs: {answer!r}"]
            elif not (found := misfits(our_versions(), answer.versions, f"the worker {address}")):
                self.workers[address] = self._make(address, answer)
                continue
            problems += found
            self._unfit.add(address)
        return problems
