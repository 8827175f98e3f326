"""The click command of `governess run`: its options and help."""

import asyncio
import contextlib
import gc
import os
import re
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from governess.children._cpus import usable_cpus
from governess.cli import LOOP_HELP, WATCHER_HELP, loop_factory, watcher_factory
from governess.cli.run.cluster_options import cluster_options, engine_of
from governess.cli.run.execution import execution_options, folder_of, gates_of, job_options, journal_of, pools_of
from governess.cli.run.foreign import explain, similar
from governess.cli.run.input_options import INPUT_NAMES, input_options, inputs_of
from governess.cli.run.inputs import Plan, SourceError, make_plan
from governess.cli.run.job_file import FilePlan, plan_of_file
from governess.cli.run.joblog import JobLog
from governess.cli.run.outcome import full_text, printable
from governess.cli.run.output_options import OUTPUT_NAMES, output_options, show_of
from governess.cli.run.results import Results
from governess.jobs import EngineError, JournalError, PoolError

__all__ = ["command"]

HELP = """Run many commands at once.

\b
  governess run [OPTIONS] CMD {} ::: A B C   one command for each argument
  governess run [OPTIONS] FILE               a command a line, - for standard input
  governess run [OPTIONS] ::: CMD1 CMD2      each argument is a command
  ... | governess run [OPTIONS] CMD {}       one for each line of standard input

A command of several words runs without a shell. One word with blanks, such as
'gzip {} | wc -c', is a line for the shell, and so are the lines of a FILE;
arguments in it are quoted. The outputs of commands are not mixed: that of one
command is written while it runs, that of each other one when it has ended.

\b
In CMD, with A = dir/name.txt:
  {}    dir/name.txt         {1} {2}   the argument of the 1st, 2nd :::
  {.}   dir/name             {1/.}     these can be combined
  {/}   name.txt             {#}       the number of the command
  {//}  dir                  {%}       the number of its slot
  {/.}  name                 {name}    the column with this name (--header)
  {..}  without 2 extensions {+/} {+.} dir, txt
                             (none)    the argument is appended

\b
  :::  A B    arguments; several ::: give every combination
  :::+ A B    arguments linked, one by one, to those before
  :::: FILE   arguments from a file, one a line; ::::+ links them
"""

EPILOG = """\b
Examples:
  governess run gzip -9 {} ::: *.log
  find . -name '*.log' -print0 | governess run -0 'gzip -c {} > {.}.gz'
  governess run -j 4 --timeout 60 -- convert {} {.}.png ::: *.svg
  governess run -k echo {1}-{2} ::: a b ::: 1 2
  governess run -j 200% --halt soon commands.txt

Exit status: 0 if all commands succeeded, else the number of failed commands
(101 for more than 100); 255 for a usage error or a failure of governess;
130 after Ctrl-C. With --halt now,fail=1 it is that of the failed command.
"""


# GNU parallel's other names of options; they work, and help and completion are shorter without them.
_OTHER_NAMES = frozenset(
    ["--keeporder", "--linebuffer", "--spreadstdin", "--removerecsep", "--rrs", "--tag-string", "--dryrun", "--silent"]
) | {"--block-size", "--xapply"}


class _Run(click.Command):
    """Notes whether `--` precedes the words: then a single word is a command, not a file."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        given = list(args)
        try:
            rest = super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            name = error.option_name
            known = [option for parameter in self.params for option in parameter.opts]
            text = explain(name) or f"No such option: {name}{similar(name, known)} (see --help)"
            raise click.UsageError(text, ctx) from None
        words = ctx.params["words"]
        before = len(given) - len(words) - 1
        ctx.params["is_command"] = before >= 0 and given[before] == "--"
        return rest

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete options and words, but for other names of the same option."""
        return [item for item in super().shell_complete(ctx, incomplete) if item.value not in _OTHER_NAMES]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options in sections."""
        sections: dict[str, list[tuple[str, str]]] = {"What is run": [], "What is shown": [], "How it is run": []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):
                place = 0 if parameter.name in INPUT_NAMES else 1 if parameter.name in OUTPUT_NAMES else 2
                names = ", ".join(name for name in record[0].split(", ") if name.split()[0] not in _OTHER_NAMES)
                metavar = record[0].split()[-1]
                if not metavar.startswith("-") and not names.endswith(metavar):
                    names += f" {metavar}"
                list(sections.values())[place].append((names, record[1]))
        for name, records in sections.items():
            with formatter.section(name):
                formatter.write_dl(records, col_max=26)


if TYPE_CHECKING:
    _ParamType = click.ParamType[Any]  # generic since click 8.2, and not at run time
else:
    _ParamType = click.ParamType


class _Slots(_ParamType):
    name = "N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        cpus = usable_cpus()
        match = _SLOTS.fullmatch(value)
        if match is None:
            self.fail(f"{value!r} is neither a number, nor a percentage of the processors, nor +1 or -1", param, ctx)
        number = int(match[2])
        if match[3]:
            number = cpus * number // 100
        if match[1] or match[3]:
            return max(cpus + int(f"{match[1]}{number}") if match[1] else number, 1)
        return number or sys.maxsize


_SLOTS = re.compile(r"([-+]?)([0-9]+)(%?)", re.ASCII)


@click.command(
    "run",
    cls=_Run,
    help=HELP,
    epilog=EPILOG,
    short_help="Run many commands at once.",
    options_metavar="[OPTIONS]",
    context_settings={"allow_interspersed_args": False},
)
@click.option(
    "-j",
    "-P",
    "--jobs",
    "--max-procs",
    type=_Slots(),
    metavar="N",
    help="How many commands run at once: 8, 50% of the processors, +1 or -1 to them, 0 for all. Default: 100%.",
)
@input_options
@output_options
@click.option("--tty", is_flag=True, help="Give each command the terminal, one after the other: editors, passwords.")
@execution_options
@cluster_options
@click.option(
    "--watcher",
    metavar="W",
    default="auto",
    help=WATCHER_HELP,
)
@click.option(
    "--loop",
    metavar="L",
    default="auto",
    help=LOOP_HELP,
)
@click.argument(
    "words",
    nargs=-1,
    type=click.UNPROCESSED,
    metavar="CMD ... ::: A B C  |  FILE",
    shell_complete=lambda context, parameter, word: [CompletionItem(word, type="file")],
)
def command(
    words: tuple[str, ...],
    is_command: bool,
    jobs: int | None,
    tty: bool,
    watcher: str,
    loop: str,
    **values: Any,
) -> int:
    """Run the commands and return the exit status."""
    from governess import DefaultEventLoopPolicy
    from governess.cli.run.execute import Settings, execute

    if tty and jobs not in (None, 1):
        raise click.UsageError("--tty runs one command after the other: leave out --jobs, or give 1")
    if tty and sys.platform == "win32":
        raise click.UsageError("--tty gives commands a terminal of POSIX, which Windows does not have")
    slots = jobs or (1 if tty else usable_cpus())
    try:
        factory, make_watcher = loop_factory(loop), watcher_factory(watcher)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    try:
        show = show_of(values, tty=tty)
        options = job_options(values)
        engine = engine_of(values, tty=tty)
        plan = plan_of_file(words, options, is_command=is_command) or make_plan(
            words, inputs_of(values, slots), is_command=is_command
        )
        if values["dry_run"]:
            return _write_commands(plan)
    except SourceError as error:
        raise click.UsageError(str(error)) from None
    settings = Settings(
        slots if engine is None else jobs or 0,
        options,
        values["halt"],
        pools_of(values, plan.pools if isinstance(plan, FilePlan) else {}),
        gates_of(values),
        journal_of(values),
        show=show,
        tty=tty,
        folder=folder_of(values),
        engine=engine,
        **_files_of(values),
    )
    policy = DefaultEventLoopPolicy(loop_factory=factory, watcher=None if make_watcher is None else make_watcher())
    with policy, _runner(policy.loop_factory, loop) as runner, _rare_collections():
        try:
            return runner.run(execute(plan, settings))
        except (PoolError, JournalError, EngineError, SourceError) as error:
            raise click.UsageError(str(error)) from None


# So many new objects between two collections of garbage. What a command leaves behind is freed without them; by default
# (`gc.get_threshold`: 700 before Python 3.13, then 2,000) there would be one for every few commands.
_OBJECTS = 20_000


@contextlib.contextmanager
def _rare_collections() -> Iterator[None]:
    """Collect garbage less often, and never look at what was imported until now.

    Not even afterwards: the process ends, and its last collections would take longer than all it does for one command.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(_OBJECTS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _files_of(values: dict[str, Any]) -> dict[str, Any]:
    """Return where else is written what the commands write and how they end."""
    found: dict[str, Any] = {}
    for name, kind in (("joblog", JobLog), ("results", Results)):
        if (path := values[name]) is not None:
            try:
                found[name] = kind(path)
            except OSError as error:
                raise click.UsageError(f"--{name} {path}: {error.strerror}") from None
    return found


def _write_commands(plan: Plan | FilePlan) -> int:
    """Write the commands of a plan, each on a line (`--dry-run`)."""
    for warning in plan.warnings:
        click.echo(f"governess run: {warning}", err=True)
    out = sys.stdout.buffer
    for item in plan.items():
        text = full_text(plan.command(item, 1))  # type: ignore[arg-type]
        out.write(os.fsencode(f"{printable(text) if out.isatty() else text}\n"))
    out.flush()
    return 0


def _runner(factory: Callable[[], asyncio.AbstractEventLoop], name: str) -> asyncio.Runner:
    from governess import Runner

    runner = Runner(loop_factory=factory)
    try:
        runner.get_loop()
    except Exception as error:  # the user's own factory may raise anything
        raise click.UsageError(f"the loop {name!r} cannot be used: {error}") from None
    return runner
