"""The click command of `governess top --journal`."""

import click

from governess.cli.jobs.common import opened

__all__ = ["command"]


@click.command("top", short_help="Show the jobs of a journal on a screen of their own.")
@click.option("--journal", required=True, metavar="DIR", help="The journal.")
def command(journal: str) -> None:
    """Show the jobs that run, have failed or were not finished, with their CPU time, memory and output."""
    try:
        from governess.cli.jobs.screen import JobsScreen
    except ImportError:
        raise click.ClickException("the screen needs textual: pip install 'governess[tui]'") from None
    with opened(journal) as reader:
        if reason := JobsScreen(reader).run():
            raise click.ClickException(reason)
