"""The click command of `governess ps`: what a journal's jobs are doing."""

import json
import time
from typing import Any

import click

from governess.cli.jobs.common import counts_text, exit_text, opened, table
from governess.cli.run.outcome import duration, printable, shown
from governess.jobs._journal.reader import JobRecord, JournalReader, TryRecord
from governess.jobs._report import as_dict
from governess.jobs._states import State

__all__ = ["command"]

FAILED = (State.FAILED, State.TIMEOUT, State.MEMORY)
UNUSUAL = (State.RUNNING, *FAILED, State.SKIPPED, State.CANCELLED, State.INTERRUPTED)
MOST = 1000
"""How many jobs are shown, unless all are asked for."""
INTERVAL = 0.5


@click.command("ps", short_help="Show what the jobs of a journal are doing.")
@click.option("--journal", required=True, metavar="DIR", help="The journal.")
@click.option("--failed", is_flag=True, help="Only jobs that have failed.")
@click.option("--all", "every", is_flag=True, help="All jobs. Default: those that run, have failed or are unfinished.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@click.option("--follow", is_flag=True, help="Also show what starts and ends, until the run has ended.")
def command(journal: str, failed: bool, every: bool, as_json: bool, follow: bool) -> int:
    """Show what the jobs of a journal are doing, also while a run goes on."""
    with opened(journal) as reader:
        began = time.time()
        states = FAILED if failed else None if every else UNUSUAL
        limit = None if every or as_json else MOST
        jobs, tries = list(reader.jobs(states, limit)), reader.last_tries(states, limit)
        if as_json:
            _write_json(reader, jobs, tries)
        else:
            _write_table(reader, jobs, tries)
        if follow:
            _follow(reader, began, as_json)
    return 0


def _write_json(reader: JournalReader, jobs: list[JobRecord], tries: dict[int, TryRecord]) -> None:
    found: dict[str, Any] = {
        "journal": str(reader.folder),
        "runner": reader.runner(),
        "counts": {str(state): count for state, count in reader.counts().items()},
        "jobs": [_job(job, tries.get(job.number)) for job in jobs],
    }
    click.echo(json.dumps(found))


def _job(job: JobRecord, last: TryRecord | None) -> dict[str, Any]:
    return {**as_dict(job), "last": None if last is None else as_dict(last)}


def _write_table(reader: JournalReader, jobs: list[JobRecord], tries: dict[int, TryRecord]) -> None:
    runner = reader.runner()
    who = "not running" if runner is None else f"run by process {runner}"
    click.echo(f"{counts_text(reader.counts())}; {who}")
    if jobs:
        now = time.time()
        rows = [_row(job, tries.get(job.number), now) for job in jobs]
        head: tuple[str, ...] = ("job", "state", "tries", "time", "exit", "command")
        if any(each.host for each in tries.values()):
            head = (*head[:-1], "host", head[-1])
            hosts = (((last := tries.get(job.number)) and last.host) or "-" for job in jobs)
            rows = [(*row[:-1], host, row[-1]) for row, host in zip(rows, hosts, strict=True)]
        click.echo(table(head, rows), nl=False)
    if len(jobs) == MOST:
        click.echo(f"… the first {MOST}; --all shows all of them")


def _row(job: JobRecord, last: TryRecord | None, now: float) -> tuple[str, ...]:
    wall = None if last is None else _end(job, last, now) - last.started
    code = exit_text(None if last is None else last.code, "" if last is None else last.remark)
    name = f"{printable(job.name)}: " if job.name else ""
    reason = f" ({printable(job.reason)})" if job.reason else ""
    text = f"{name}{shown(job.command, 500)}{reason}"
    return str(job.number), str(job.state), str(job.tries), duration(wall), code, text


def _end(job: JobRecord, last: TryRecord, now: float) -> float:
    return last.ended or (now if job.state is State.RUNNING else last.started)


def _follow(reader: JournalReader, since: float, as_json: bool) -> None:
    told: set[tuple[int, int, State]] = set()
    while True:
        is_running = reader.runner() is not None
        latest = since
        for each in reader.changes(since):
            if (key := (each.job, each.start, each.state)) in told:
                continue
            told.add(key)
            latest = max(latest, each.ended or each.started)
            _tell(reader, each, as_json)
        # A change may be written a moment after its time.
        since = max(since, latest - 60)
        if not is_running:
            return
        time.sleep(INTERVAL)


def _tell(reader: JournalReader, each: TryRecord, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(as_dict(each)))
        return
    job = reader.find_number(each.job)
    where = f" on {each.host}" if each.host else ""
    clock = time.strftime("%H:%M:%S", time.localtime(each.ended or each.started))
    wall = f" {exit_text(each.code, each.remark)} {duration(each.ended - each.started)}" if each.ended else ""
    click.echo(f"{clock} {each.job}.{each.start} {each.state}{wall}{where}: {shown(job.command, 80)}")
