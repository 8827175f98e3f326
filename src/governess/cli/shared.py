"""Commands that are for services, and with `--journal` for the jobs of a journal."""

from __future__ import annotations

from typing import Any

import click

__all__ = ["for_services_or_journal"]


def for_services_or_journal(services: click.Command, journal: click.Command) -> click.Command:
    """Return a command that is `journal` if `--journal` is among its words, and else `services`."""
    return _ServicesOrJournal(services, journal)


class _ServicesOrJournal(click.Command):
    def __init__(self, services: click.Command, journal: click.Command) -> None:
        super().__init__(services.name, short_help=services.short_help)
        self._services = services
        self._journal = journal

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        options = args[: args.index("--")] if "--" in args else args
        has_journal = any(word == "--journal" or word.startswith("--journal=") for word in options)
        command = self._journal if has_journal else self._services
        return command.make_context(info_name, args, parent, **extra)
