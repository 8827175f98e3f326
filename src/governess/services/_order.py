"""In which order services start and stop; without I/O."""

from __future__ import annotations

import graphlib
from collections.abc import Iterable, Mapping

from governess._programs.toml_keys import similar
from governess.services._service import Service, ServiceError

__all__ = ["check_services", "dependents_first"]


def check_services(services: Iterable[Service]) -> dict[str, Service]:
    """Return services by their names.

    Raises:
        ServiceError: two have one name, one comes after a service that is not there, or some wait for each other.
    """
    named: dict[str, Service] = {}
    for service in services:
        if service.name in named:
            raise ServiceError(f"there are two services with the name {service.name}", service.name)
        named[service.name] = service
    for service in named.values():
        for other in service.after:
            if other not in named:
                text = f"service {service.name}, after: there is no service or job {other!r}{similar(other, named)}"
                raise ServiceError(text, service.name, "after")
    try:
        _sorter(named).prepare()
    except graphlib.CycleError as error:
        circle = " after ".join(reversed(error.args[1]))
        raise ServiceError(f"these services wait for each other: {circle}", error.args[1][0], "after") from None
    return named


def _sorter(named: Mapping[str, Service]) -> graphlib.TopologicalSorter[str]:
    return graphlib.TopologicalSorter({service.name: service.after for service in named.values()})


def dependents_first(services: Mapping[str, Service]) -> dict[str, set[str]]:
    """Return the services in the order in which they stop, each with all that has to be gone before it is told.

    These are the services that come after it, also by way of others that are not to be stopped.
    """
    order = list(_sorter(services).static_order())
    dependents: dict[str, set[str]] = {name: set() for name in services}
    for name in reversed(order):
        for other in services[name].after if name in services else ():
            if other in dependents:
                dependents[other] |= {name} | dependents[name]
    return {name: dependents[name] for name in reversed(order) if name in dependents}
