"""The click commands that act on a `governess up` that runs."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from governess.cli.run.outcome import printable
from governess.cli.up.client import ClientError, NoFileError, ask, ask_once, runtime_of, wait_until_down
from governess.cli.up.config import ConfigError
from governess.cli.up.console import Console
from governess.cli.up.source import parse_formation
from governess.cli.up.table import status_table

__all__ = ["COMMANDS"]

_FILE = click.option(
    "-f", "--file", metavar="FILE", help="The file of `governess up`. Default: governess.toml, else Procfile."
)
_NAMES = click.argument("names", nargs=-1, metavar="[NAME]...")
_JOURNAL = "For the jobs of a journal, use --journal DIR; --journal DIR --help shows its options."
_JSON = click.option("--json", "as_json", is_flag=True, help="Write JSON.")


def _once(file: str | None, **request: Any) -> dict[str, Any]:
    with _errors():
        return ask_once(file, **request)


@contextmanager
def _errors(*, serves_journals: bool = False) -> Iterator[None]:
    """Tell what is wrong; where the command serves journals too, and there are no services here, that it does."""
    try:
        yield
    except NoFileError as error:
        hint = "; for the jobs of a journal, give --journal DIR" if serves_journals else ""
        raise click.ClickException(f"{error}{hint}") from None
    except ClientError as error:
        raise click.ClickException(str(error)) from None


def _show_states(answer: dict[str, Any], as_json: bool = False) -> None:
    services = answer["services"]
    click.echo(json.dumps(services, indent=2) if as_json else status_table(services))


@click.command("ps", short_help="Show the states of services, or of the jobs of a journal.", epilog=_JOURNAL)
@_FILE
@_JSON
@_NAMES
def ps(file: str | None, as_json: bool, names: tuple[str, ...]) -> None:
    """Show the states of services."""
    with _errors(serves_journals=True):
        answer = ask_once(file, do="ps", names=names)
    _show_states(answer, as_json)


@click.command("start", short_help="Start services that do not run.")
@_FILE
@_NAMES
def start(file: str | None, names: tuple[str, ...]) -> None:
    """Start services that were stopped or have ended; those that wait for a restart start at once."""
    _show_states(_once(file, do="start", names=names))


@click.command("stop", short_help="Stop services.")
@_FILE
@_NAMES
def stop(file: str | None, names: tuple[str, ...]) -> None:
    """Stop services in the reverse order, and wait until they have ended."""
    _show_states(_once(file, do="stop", names=names))


@click.command("restart", short_help="Restart services.")
@_FILE
@_NAMES
def restart(file: str | None, names: tuple[str, ...]) -> None:
    """Restart services; the copies of one service one after the other, each when the one before is ready."""
    _show_states(_once(file, do="restart", names=names))


@click.command("scale", short_help="Change how many copies run.")
@_FILE
@click.argument("formation", nargs=-1, required=True, metavar="NAME=N...")
def scale(file: str | None, formation: tuple[str, ...]) -> None:
    """Set the number of copies of a service, until its file is read again."""
    try:
        copies = parse_formation(",".join(formation))
    except ConfigError as error:
        raise click.UsageError(str(error).removeprefix("-m ")) from None
    _show_states(_once(file, do="scale", copies=copies))


@click.command("signal", short_help="Send a signal to services.")
@_FILE
@click.argument("name", metavar="SIGNAL")
@_NAMES
def send_signal(file: str | None, name: str, names: tuple[str, ...]) -> None:
    """Send a signal, such as HUP or 10, to the processes of services."""
    number = int(name) if name.isdecimal() else getattr(signal, f"SIG{name.upper().removeprefix('SIG')}", None)
    if number is None or number not in signal.valid_signals():
        raise click.UsageError(f"{name!r} is no signal such as HUP or 10")
    answer = _once(file, do="signal", signal=int(number), names=names)
    for reached in answer["reached"]:
        click.echo(f"{reached} has got it")
    if not answer["reached"]:
        raise click.ClickException("nobody has got it: none of them runs")


@click.command("reload", short_help="Read the file again.")
@_FILE
@click.option("--dry-run", is_flag=True, help="Show what would change, and do nothing.")
def reload(file: str | None, dry_run: bool) -> None:
    """Read the file again, and change what differs; a service that is the same is left alone."""
    changes = _once(file, do="reload", dry_run=dry_run)["changes"]
    for change in changes or ["nothing has changed"]:
        click.echo(change)


@click.command("down", short_help="End `governess up`.")
@_FILE
def down(file: str | None) -> None:
    """Stop all services in the reverse order, and wait until `governess up` has ended."""
    _once(file, do="down")
    wait_until_down(file)


@click.command("logs", short_help="Show the output of services, or of the jobs of a journal.", epilog=_JOURNAL)
@_FILE
@click.option("-F", "--follow", is_flag=True, help="Also show what they write from now on.")
@click.option(
    "-n", "--lines", type=click.IntRange(0), metavar="N", help="The last lines of each copy. Default: all kept."
)
@_NAMES
def logs(file: str | None, follow: bool, lines: int | None, names: tuple[str, ...]) -> None:
    """Show the last lines that services have written; about 64 KB of each copy are kept."""
    broken: list[bool] = []
    seen: set[str] = set()
    console = Console(lambda: broken.append(True))
    with _errors(serves_journals=True):
        for answer in ask(file, do="logs", names=names, follow=follow):
            name, text = printable(answer["name"]), answer["lines"].encode()
            if lines is not None and name not in seen:
                text = b"".join(text.splitlines(keepends=True)[-lines:] if lines else [])
                seen.add(name)
            console.expect([name])
            if text:
                console.write(name, text)
            if broken:
                return


@click.command("top", short_help="Show services, or jobs of a journal, on a screen.", epilog=_JOURNAL)
@_FILE
def top(file: str | None) -> None:
    """Show the services with their CPU time, memory and output; start, stop and restart them by a key."""
    try:
        from governess.cli.up.top import Top
    except ImportError:
        raise click.ClickException("the screen needs textual: pip install 'governess[tui]'") from None
    with _errors(serves_journals=True):
        ask_once(file, do="ps")
    if reason := Top(runtime_of(file).socket).run():
        raise click.ClickException(reason)


COMMANDS = {each.name: each for each in (ps, start, stop, restart, scale, send_signal, reload, down, logs, top)}
"""The commands by their names."""
