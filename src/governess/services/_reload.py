"""What a new set of services changes in the old one; without I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import NamedTuple

from governess.services._service import Service

__all__ = ["Change", "changes_between"]

# What a running service can have changed.
_LIVE = frozenset(
    {"after", "ready_timeout", "health", "stop", "grace", "restart", "limit", "essential", "watch", "log"}
)


class Change(NamedTuple):
    """A change that a reload makes to a service.

    Attributes:
        name: the name of the service.
        text: the action and the options that differ: `restarts: command, env`.
        is_restart: whether the processes of the service are replaced.
    """

    name: str
    text: str
    is_restart: bool = False

    def __str__(self) -> str:
        return f"{self.name}: {self.text}"


def changes_between(old: Mapping[str, Service], new: Mapping[str, Service]) -> list[Change]:
    """Return what is done with each service that differs."""
    changes = [Change(name, "is removed") for name in old if name not in new]
    for name, service in new.items():
        if name not in old:
            changes.append(Change(name, "is added"))
            continue
        before = old[name]
        keys = [field.name for field in fields(Service) if getattr(before, field.name) != getattr(service, field.name)]
        if "copies" in keys:
            keys.remove("copies")
            changes.append(Change(name, f"{before.copies} copies become {service.copies}"))
        if not keys:
            continue
        is_restart = not _LIVE.issuperset(keys)
        verb = "restarts" if is_restart else "is changed while it runs"
        changes.append(Change(name, f"{verb}: {', '.join(keys)}", is_restart))
    return changes
