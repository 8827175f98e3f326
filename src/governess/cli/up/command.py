"""The click command of `governess up`: its options and help."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from governess.cli import LOOP_HELP, loop_factory
from governess.cli.run.outcome import shown
from governess.cli.up.config import ConfigError
from governess.cli.up.source import Source, find_file, parse_formation
from governess.services import Service, ServiceError

__all__ = ["command"]

HELP = """Keep the services of a file alive: governess.toml, or a Procfile.

Services start in order: each waits until those that it names as `after` are
ready. They are restarted when they die, and stop in the reverse order. NAMEs or
patterns of names choose some of them; those that they wait for start, too.

\b
A Procfile has a line for each service, as for foreman and honcho:
  web: ./server --port $PORT
  worker: ./worker
When one of them ends, all end, with its exit status. A governess.toml says for
each service when it is ready, when it is restarted, and when it is given up.
"""

EPILOG = """\b
While it runs, other commands control it; they take names of services (web), of
copies (web.2) or patterns (w*):
  governess ps | start | stop | restart | logs | signal [NAME]...
  governess scale web=4 | governess reload | governess top | governess down

Exit status: 0 after TERM or `down`; 130 after Ctrl-C; else that of the service
whose end has ended all (128 plus the number of the signal that killed it);
2 for an error in the file or the options, or if it already runs for this file.
"""


@click.command("up", help=HELP, epilog=EPILOG, short_help="Keep the services of a file alive.")
@click.option("-f", "--file", metavar="FILE", help="The file. Default: governess.toml, else Procfile.")
@click.option("-e", "--env", metavar="FILE,...", help="Files with variables. Default: .env beside the file.")
@click.option("-m", "--formation", metavar="NAME=N,...", help="How many copies run; all=N for every service.")
@click.option("-p", "--port", type=click.IntRange(1, 65535), metavar="N", help="The first port of a Procfile.")
@click.option("--dry-run", is_flag=True, help="Show what would be started, and do nothing.")
@click.option("--metrics", metavar="ADDR", help="Serve metrics for Prometheus at an address such as :9100.")
@click.option("--loop", metavar="L", default="auto", help=LOOP_HELP)
@click.argument("names", nargs=-1, metavar="[NAME]...")
def command(
    names: tuple[str, ...],
    file: str | None,
    env: str | None,
    formation: str | None,
    port: int | None,
    dry_run: bool,
    metrics: str | None,
    loop: str,
) -> int:
    """Keep the services alive and return the exit status."""
    if sys.platform == "win32":
        raise click.UsageError("services need process groups and signals of POSIX, which Windows does not have")
    try:
        source = Source(
            find_file(file),
            names,
            None if env is None else [Path(name.strip()) for name in env.split(",")],
            None if formation is None else parse_formation(formation),
            port,
        )
        services = source.load()
    except ConfigError as error:
        raise click.ClickException(str(error)) from None
    if dry_run:
        _show_plan(services)
        return 0
    return _run(source, services, metrics, loop)


def _run(source: Source, services: list[Service], metrics: str | None, loop: str) -> int:
    from governess import DefaultEventLoopPolicy, Runner
    from governess.cli.up.execute import execute
    from governess.cli.up.runtime import AlreadyUp, Runtime, RuntimeFolderError

    try:
        factory = loop_factory(loop)
        runtime = Runtime(source.path)
        runtime.acquire()
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    except AlreadyUp as error:
        raise click.ClickException(
            f"{source.path} is already up, by process {error.pid}: `governess ps` shows it, `governess down` ends it"
        ) from None
    except RuntimeFolderError as error:
        raise click.ClickException(str(error)) from None
    try:
        policy = DefaultEventLoopPolicy(loop_factory=factory)
        with policy, Runner(loop_factory=policy.loop_factory) as runner:
            return runner.run(execute(source, services, runtime, metrics))
    except ServiceError as error:
        raise click.ClickException(str(source.explain(error) if error.service else error)) from None
    finally:
        runtime.release()


def _show_plan(services: Sequence[Service]) -> None:
    names = [f"{service.name}.{number}" for service in services for number in range(1, service.copies + 1)]
    width = max(map(len, names), default=0)
    for service in services:
        for number in range(1, service.copies + 1):
            port = "" if service.port is None else f"PORT={service.port_of(number)} "
            after = f"  (after {', '.join(service.after)})" if service.after else ""
            name = f"{service.name}.{number}".ljust(width)
            click.echo(f"{name} | {port}{shown(service.command)}{after}")
