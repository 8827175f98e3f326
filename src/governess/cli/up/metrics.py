"""How the services are, for Prometheus."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

from governess.services import CopyStatus, ServiceError, State, Supervisor
from governess.services._sockets import parse_address

__all__ = ["served"]

# Seconds for an answer of the loop.
_TIMEOUT = 5.0


@contextlib.contextmanager
def served(address: str, supervisor: Supervisor, loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Serve the metrics at an address, such as `127.0.0.1:9100`, inside this block.

    Raises:
        ServiceError: prometheus-client is not installed, or the address cannot be had.
    """
    try:
        from prometheus_client import CollectorRegistry, start_http_server
    except ImportError:
        raise ServiceError("--metrics needs prometheus-client: pip install 'governess[metrics]'") from None
    try:
        where = parse_address(address)
        if isinstance(where, str):
            raise ServiceError(f"--metrics {address}: it is served at an address such as 127.0.0.1:9100")
        registry = CollectorRegistry()
        registry.register(_Collector(supervisor, loop))
        server, thread = start_http_server(where[1], where[0] or "127.0.0.1", registry)
    except (ValueError, OSError) as error:
        raise ServiceError(f"--metrics {address}: {getattr(error, 'strerror', None) or error}") from None
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join(_TIMEOUT)


class _Collector:
    def __init__(self, supervisor: Supervisor, loop: asyncio.AbstractEventLoop) -> None:
        self._supervisor = supervisor
        self._loop = loop

    def describe(self) -> list[Any]:
        return []

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        async def look() -> list[CopyStatus]:
            return self._supervisor.status()

        statuses = asyncio.run_coroutine_threadsafe(look(), self._loop).result(_TIMEOUT)
        labels = ["service", "copy"]
        state = GaugeMetricFamily("governess_service_state", "1 for the state of each copy", labels=[*labels, "state"])
        starts = CounterMetricFamily("governess_service_starts", "Starts of each copy", labels=labels)
        cpu = GaugeMetricFamily("governess_service_cpu_seconds", "CPU time of the living processes", labels=labels)
        memory = GaugeMetricFamily("governess_service_resident_bytes", "Resident memory", labels=labels)
        uptime = GaugeMetricFamily("governess_service_uptime_seconds", "Since the last start", labels=labels)
        for status in statuses:
            values = [status.service, status.name]
            for each in State:
                state.add_metric([*values, str(each)], float(status.state is each))
            starts.add_metric(values, status.starts)
            cpu.add_metric(values, status.cpu or 0.0)
            memory.add_metric(values, status.memory or 0)
            uptime.add_metric(values, status.seconds or 0.0)
        yield from (state, starts, cpu, memory, uptime)
