"""The click command of `governess python`, for its help text; program.py runs the program."""

import click

from governess.cli import LOOP_HELP, WATCHER_HELP

__all__ = ["command"]

HELP = """Run a Python program that uses asyncio's policies and child watchers.

\b
  governess python [OPTIONS] SCRIPT [ARGS]...      a file, or a folder or zip
                                                   file with a __main__.py
  governess python [OPTIONS] -m MODULE [ARGS]...   a module or a package
  governess python [OPTIONS] -c CODE [ARGS]...     code
  governess python [OPTIONS] - [ARGS]...           code from standard input

The program finds all names of policies and watchers that asyncio had from 3.8
to 3.13, even on a Python that has removed them. governess starts and watches
its children. Everything else is as with `python`: arguments, imports, __main__,
tracebacks, signals, exit status.

All arguments after PROGRAM are passed to the program.
"""

EPILOG = """\b
Examples:
  governess python server.py --port 8080
  governess python --loop uvloop -m package
  governess python --watcher threaded -c 'import asyncio; ...'

A policy, a loop or a watcher that the program sets itself takes precedence.
Pass options of python itself to python: python -X dev -m governess python ...

Exit status: that of the program; 2 for a usage error or a file that cannot be
opened.
"""


class _Python(click.Command):
    """Passes all words to `launch`, which parses them as `python` does; click handles `--help` only."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args in (["--help"], ["-h"]):
            return super().parse_args(ctx, args)
        ctx.params["words"] = tuple(args)
        return []


@click.command(
    "python",
    cls=_Python,
    help=HELP,
    epilog=EPILOG,
    short_help="Run a Python program that uses asyncio's policies and child watchers.",
    options_metavar="[OPTIONS]",
)
@click.option("--loop", metavar="L", help=f"{LOOP_HELP} Default: asyncio, the loop that the program expects.")
@click.option("--watcher", metavar="W", help=f"{WATCHER_HELP} Default: auto.")
@click.option(
    "--inherit",
    is_flag=True,
    help="Do the same in all Python processes that the program starts, by PYTHONPATH and the environment variable "
    "GOVERNESS_INHERIT. Workers of multiprocessing need no option.",
)
@click.argument("words", nargs=-1, metavar="PROGRAM [ARGS]...")
def command(words: tuple[str, ...]) -> int:
    """Run the program and return the exit status."""
    from governess.cli.python.program import launch

    return launch(words)
