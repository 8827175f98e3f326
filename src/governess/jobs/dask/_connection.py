"""The connection to a scheduler: made, watched, and made again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from governess.jobs._errors import EngineError

__all__ = ["Connection"]

# Seconds for one attempt to connect, and between two of them.
_ATTEMPT, _PAUSE = 5.0, 0.5


class Connection:
    """A connection of a run's own to the scheduler of a cluster.

    Args:
        address: where the scheduler listens.
        security: how the connection is secured; None as Dask's configuration says.
        timeout: for how many seconds to try to connect.
        on_change: called when a worker has come or gone.

    Attributes:
        client: Dask's client, which belongs to the running loop.
    """

    def __init__(self, address: str, security: Any, timeout: float, on_change: Callable[[], None]) -> None:
        self.address = address
        self._security = security
        self._timeout = timeout
        self._on_change = on_change
        self.client: Any = None

    @property
    def is_up(self) -> bool:
        """Whether the scheduler is connected, as far as is known."""
        return self.client is not None and self.client.status == "running"

    async def open(self) -> None:
        """Connect, and try that until the timeout is over.

        Raises:
            EngineError: the timeout is over.
        """
        from distributed import Client

        make_client: Any = Client
        loop = asyncio.get_running_loop()
        until = loop.time() + self._timeout
        while True:
            client: Any = make_client(
                self.address, security=self._security, asynchronous=True, set_as_default=False, timeout=_ATTEMPT
            )
            try:
                await client
                break
            except (OSError, ValueError) as error:
                with contextlib.suppress(Exception):
                    await client.close()
                if loop.time() + _PAUSE >= until or isinstance(error, ValueError):
                    raise EngineError(f"there is no scheduler at {self.address}: {_first_line(error)}") from None
            await asyncio.sleep(_PAUSE)
        self.client = client
        client.subscribe_topic("all", self._event)

    async def workers(self) -> dict[str, Any]:
        """Return what the scheduler knows of its workers, by address.

        Raises:
            OSError: it does not answer.
        """
        found = await self.client.scheduler.identity(n_workers=-1)
        return dict(found["workers"])

    async def close(self) -> None:
        """Close the connection, whether the other side answers or not."""
        client, self.client = self.client, None
        if client is not None:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(client.close(timeout=1), 3)

    def _event(self, event: Any) -> None:
        message = event[1]
        if isinstance(message, dict) and message.get("action") in ("add-worker", "remove-worker"):
            self._on_change()


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
