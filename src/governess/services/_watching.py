"""Restarting services when their files change, over `governess.files`."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from governess.services._service import Service, ServiceError

if TYPE_CHECKING:
    from governess.files import FileWatcher

__all__ = ["Watching", "pattern_of"]

# Seconds for which changes that follow one another are collected.
_DEBOUNCE = 0.5


class Watching:
    """Watches the folders in which the patterns of services look for files."""

    def __init__(self, on_change: Callable[[str, str], object]) -> None:
        """Call ``on_change(service, path)`` in the loop when a file of a service has changed."""
        self._on_change = on_change
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
            watcher.add_handler(folder, self._changed)
        self._patterns = fresh

    def close(self) -> None:
        """Watch nothing any more."""
        watcher, self._watcher = self._watcher, None
        self._patterns = {}
        if watcher is not None:
            watcher.close()

    def _changed(self, folder: Any, changes: Any) -> None:
        told: set[str] = set()
        for path in sorted(path for _, path in changes):
            for service, expression in self._patterns.get(folder, ()):
                if service not in told and expression.fullmatch(path):
                    told.add(service)
                    self._on_change(service, path)


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
