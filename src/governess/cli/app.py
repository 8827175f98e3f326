"""The commands of the command line, by click."""

import importlib
import sys
from typing import Any

import click

__all__ = ["app", "invoke"]


class _Commands(click.Group):
    """Imports a command where it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return ["run", "python", "info"]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        command = importlib.import_module(f"governess.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
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
    """Run child processes well: many commands at once, none lost, none left behind."""


def invoke(args: list[str]) -> int:
    """Run the command line and give the exit status; a wrong call is told in one line."""
    try:
        status: Any = app.main(args or ["--help"], prog_name="governess", standalone_mode=False)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        name = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "governess"
        print(f"{name}: {' '.join(error.format_message().split())}", file=sys.stderr)
        return 2
    except click.Abort:
        return 130
    return status if isinstance(status, int) else 0


def _tell_version(context: click.Context) -> None:
    from governess import __version__

    click.echo(f"governess {__version__}")
    context.exit()
