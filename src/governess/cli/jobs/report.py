"""The click command of `governess report`: what a journal tells of its runs."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import click

from governess.cli.jobs.common import counts_text, exit_text, opened, table
from governess.cli.run.outcome import duration, memory, printable, shown
from governess.jobs._journal.reader import JobRecord, TryRecord
from governess.jobs._report import Report, read_report, trace_events
from governess.jobs._report_page import html_report

__all__ = ["command"]

SLOWEST = 10
MOST_FAILED = 50


@click.command("report", short_help="Show what happened in the runs of a journal.")
@click.argument("folder", metavar="DIR")
@click.option("--html", metavar="FILE", help="Write a page with a timeline, all jobs and the ends of their outputs.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@click.option("--trace", metavar="FILE", help="Write a trace, which Perfetto and chrome://tracing show.")
def command(folder: str, html: str | None, as_json: bool, trace: str | None) -> int:
    """Show what happened in the runs of a journal: which jobs failed or took long, and how many ran at once."""
    with opened(folder) as reader:
        found = read_report(reader)
        ends = _last_lines(reader.output)
    if trace is not None:
        _write(trace, json.dumps(trace_events(found)))
    if html is not None:
        _write(html, html_report(found))
    if as_json:
        click.echo(json.dumps(found.as_json()))
    elif trace is None and html is None:
        click.echo(_text(found, ends), nl=False)
    return 0


def _write(path: str, text: str) -> None:
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.UsageError(f"cannot write {path}: {error.strerror}") from None


def _text(report: Report, ends: Callable[[TryRecord], str]) -> str:
    last = {each.job: each for each in report.tries}
    runs = len(report.runs)
    cpu = "" if report.cpu is None else f", {duration(report.cpu)} of CPU"
    lines = [
        counts_text(report.counts),
        f"{runs} run{'' if runs == 1 else 's'}, {len(report.tries)} starts, at most {report.at_once} at once",
        f"{duration(report.duration)} by the clock, {duration(report.busy)} of jobs{cpu}",
    ]
    text = "\n".join(lines) + "\n"
    failed = [job for job in report.jobs if job.state.is_failure]
    if failed:
        text += f"\nFailed\n{_table(failed[:MOST_FAILED], last)}"
        if len(failed) > MOST_FAILED:
            text += f"… {len(failed) - MOST_FAILED} more: governess ps --failed --all\n"
        for job in failed[:5]:
            if end := ends(last[job.number]) if job.number in last else "":
                text += f"\nThe end of what job {job.number} wrote\n{end}"
    if len(report.critical_path) > 1:
        text += f"\nCritical path\n{_table(report.critical_path, last)}"
    if hosts := _hosts(report.tries):
        text += f"\nHosts\n{table(('starts', 'time', 'host'), hosts)}"
    ran = sorted((job for job in report.jobs if job.number in last), key=lambda job: -_took(last[job.number]))
    if ran:
        text += f"\nSlowest\n{_table(ran[:SLOWEST], last)}"
    return text


def _table(jobs: list[JobRecord], last: dict[int, TryRecord]) -> str:
    rows = []
    for job in jobs:
        each = last.get(job.number)
        wall = duration(None if each is None else _took(each))
        code = "-" if each is None else exit_text(each.code, each.remark)
        peak = memory(None if each is None else each.peak)
        name = f"{printable(job.name)}: " if job.name else ""
        rows.append(
            (str(job.number), str(job.state), str(job.starts), wall, code, peak, name + shown(job.command, 500))
        )
    return table(("job", "state", "starts", "time", "exit", "memory", "command"), rows)


def _hosts(tries: list[TryRecord]) -> list[tuple[str, str, str]]:
    """Return how many starts each host had, and how long they took together; nothing if all ran on one machine."""
    by_host: dict[str, list[TryRecord]] = {}
    for each in tries:
        by_host.setdefault(each.host, []).append(each)
    if by_host.keys() <= {""}:
        return []
    return [
        (str(len(found)), duration(sum(map(_took, found))), printable(host) or "this machine")
        for host, found in sorted(by_host.items())
    ]


def _took(each: TryRecord) -> float:
    return (each.ended or each.started) - each.started


def _last_lines(output: Callable[[int, int], tuple[Path, Path]]) -> Callable[[TryRecord], str]:
    def ends(each: TryRecord) -> str:
        out, err = output(each.job, each.start)
        return _end_of(err) or _end_of(out)

    return ends


def _end_of(path: Path, lines: int = 5) -> str:
    """Return the last lines of a file, indented, without what a terminal would take for a command."""
    try:
        with open(path, "rb") as file:
            file.seek(max(os.fstat(file.fileno()).st_size - 4096, 0))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return "".join(f"  {printable(line)}\n" for line in text.split("\n")[-lines - 1 :] if line.strip())
