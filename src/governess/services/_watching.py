"""Restarting services when their files change, over `governess.files`."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from governess.services._events import EventLog, ServiceEvent
from governess.services._fleet import Fleet
from governess.services._service import Service, ServiceError

if TYPE_CHECKING:
    from governess.files import FileWatcher

__all__ = ["Watching", "pattern_of"]

# Seconds for which changes that follow one another are collected.
_DEBOUNCE = 0.5


class Watching:
    """Watches the folders in which the patterns of services look for files, and restarts these services."""

    def __init__(self, fleet: Fleet, events: EventLog) -> None:
        """Restart copies of a fleet; a restart that fails is told as an event."""
        self._fleet = fleet
        self._events = events
        self._changed: dict[str, str] = {}
        self._rolls: dict[str, asyncio.Task[None]] = {}
        self._watcher: FileWatcher | None = None
        self._patterns: dict[str, list[tuple[str, re.Pattern[str]]]] = {}

    def update(self, services: Iterable[Service]) -> None:
        """Watch the files of these services, and no others.

        Raises:
            ServiceError: watchfiles is not installed, or a folder is not there.
        """
        fresh: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
        for service in services:
            for pattern in service.watch:
                folder, expression = pattern_of(service.path(pattern))
                if not os.path.isdir(folder):
                    raise ServiceError(
                        f"service {service.name}, watch: there is no folder {folder}", service.name, "watch"
                    )
                fresh.setdefault(folder, []).append((service.name, expression))
        watcher = self._watcher
        if watcher is None:
            if not fresh:
                return
            watcher = self._watcher = _make_watcher()
        for folder in self._patterns.keys() - fresh.keys():
            watcher.remove_handler(folder)
        for folder in fresh.keys() - self._patterns.keys():
            watcher.add_handler(folder, self._tell)
        self._patterns = fresh

    def close(self) -> None:
        """Watch nothing any more."""
        watcher, self._watcher = self._watcher, None
        self._patterns = {}
        if watcher is not None:
            watcher.close()
        for roll in self._rolls.values():
            roll.cancel()

    def _tell(self, folder: Any, changes: Any) -> None:
        told: set[str] = set()
        for path in sorted(path for _, path in changes):
            for service, expression in self._patterns.get(folder, ()):
                if service not in told and expression.fullmatch(path):
                    told.add(service)
                    self._restart(service, path)

    def _restart(self, name: str, path: str) -> None:
        self._changed[name] = f"{os.path.basename(path)} has changed"
        roll = self._rolls.get(name)
        if roll is None or roll.done():
            self._rolls[name] = asyncio.get_running_loop().create_task(self._roll(name))

    async def _roll(self, name: str) -> None:
        """Restart the copies, and again if a file has changed meanwhile."""
        while (why := self._changed.pop(name, None)) is not None:
            copies = [copy for copy in self._fleet.of(name) if not copy.is_stopped_by_command]
            try:
                await self._fleet.roll(copies, why)
            except ServiceError as error:
                self._events.add(ServiceEvent("", None, str(error)))


def pattern_of(path: str) -> tuple[str, re.Pattern[str]]:
    """Return the folder that has to be watched for a pattern, and what its files match.

    `**/` stands for any folders, `*` for anything without a slash, `?` for one character.
    """
    fixed: list[str] = []
    parts = os.path.abspath(path).split("/")
    while len(parts) > 1 and not re.search(r"[*?]", parts[0]):
        fixed.append(parts.pop(0))
    folder = os.path.realpath("/".join(fixed) or "/")
    text = re.escape(folder.rstrip("/")) + "/" + re.sub(r"\*\*/|\*+|\?|[^*?]+", _translate, "/".join(parts))
    return folder, re.compile(text, re.DOTALL)


def _translate(part: re.Match[str]) -> str:
    known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return known.get(part[0]) or re.escape(part[0])


def _make_watcher() -> FileWatcher:
    try:
        from governess.files import FileWatcher

        return FileWatcher(debounce=_DEBOUNCE)
    except ImportError as error:
        raise ServiceError(f"watch: {error}", key="watch") from None
