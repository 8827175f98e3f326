"""The click group of all commands, and the exit status of errors."""

import importlib
import os
import sys
from typing import Any

import click

from governess.cli.printable import printable

__all__ = ["app", "invoke"]


_CLIENTS = "governess.cli.up.clients"
_MODULES = {
    "run": "governess.cli.run.command",
    "up": "governess.cli.up.command",
    **dict.fromkeys(("ps", "logs", "start", "stop", "restart", "scale", "signal", "reload", "top", "down"), _CLIENTS),
    "report": "governess.cli.jobs.report",
    "python": "governess.cli.python.command",
    "info": "governess.cli.info",
}


# What is meant with --journal.
_OF_JOURNALS = {name: f"governess.cli.jobs.{name}" for name in ("ps", "logs", "top")}


def _import(name: str, command_name: str) -> click.Command:
    module = importlib.import_module(name)
    command = getattr(module, "COMMANDS", {}).get(command_name) or module.command
    assert isinstance(command, click.Command)
    return command


class _Commands(click.Group):
    """Imports a command when it is used."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in _MODULES and not args[0].startswith("-"):
            from governess._programs.toml_keys import similar

            ctx.fail(f"there is no command {args[0]!r}{similar(args[0], _MODULES)}; --help lists them")
        return super().resolve_command(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _MODULES:
            return None
        command = _import(_MODULES[cmd_name], cmd_name)
        if cmd_name in _OF_JOURNALS:
            from governess.cli.shared import for_services_or_journal

            return for_services_or_journal(command, _import(_OF_JOURNALS[cmd_name], cmd_name))
        return command


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "terminal_width": 80},
    epilog="More: governess COMMAND --help",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=lambda context, parameter, wanted: _tell_version(context) if wanted else None,
    help="Show the version and exit.",
)
def app() -> None:
    """Run many commands at once, keep services alive, and run old asyncio programs."""


def invoke(args: list[str]) -> int:
    """Run the command line and return the exit status; report a usage error or a failure of governess in one line."""
    try:
        status: Any = app.main(args or ["--help"], prog_name="governess", standalone_mode=False)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        name = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "governess"
        return _refuse(name, " ".join(error.format_message().split()), OWN_FAILURE if name in _AS_PARALLEL else 2)
    except click.Abort:
        return 130
    except BrokenPipeError:  # the reader of standard output has closed it
        return _give_up_output(128 + 13)
    except OSError as error:
        return _give_up_output(_refuse("governess", error.strerror or str(error), OWN_FAILURE))
    except RuntimeError as error:
        if "thread" not in str(error):  # can't start new thread
            raise
        return _refuse("governess", str(error), OWN_FAILURE)
    return status if isinstance(status, int) else 0


OWN_FAILURE = 255
# Whose wrong calls have the exit status that GNU parallel gives.
_AS_PARALLEL = frozenset(f"governess {name}" for name in ("run", "ps", "logs", "report"))


def _refuse(name: str, text: str, status: int) -> int:
    print(f"{name}: {printable(text)}", file=sys.stderr)
    return status


def _give_up_output(status: int) -> int:
    """Redirect standard output to the null device, so that the flush at the exit of the interpreter cannot fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return status


def _tell_version(context: click.Context) -> None:
    from governess import __version__

    click.echo(f"governess {__version__}")
    context.exit()
