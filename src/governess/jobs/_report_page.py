"""The report of a journal as one HTML file, which needs no network."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any

from governess.jobs._job import Command
from governess.jobs._journal.reader import JobRecord, TryRecord
from governess.jobs._lanes import lanes_of
from governess.jobs._report import Report
from governess.jobs._states import State
from governess.subprocess._results import joined

__all__ = ["end_of", "html_report"]

# Of the outputs that are shown, all together, in characters: those of jobs that did not end well come first.
_MOST_TEXT = 2_000_000
_SHOWN_AFTER = 50  # jobs; of fewer, all outputs are shown
_FILES = (("out", "standard output"), ("err", "standard error"))


def html_report(report: Report) -> str:
    """Return a page with a timeline, the critical path, all jobs, and the ends of their outputs."""
    data = json.dumps(_data(report), ensure_ascii=False, separators=(",", ":"))
    # In a script element, only a `<` can end the data.
    return _template().replace("@DATA@", data.replace("<", "\\u003c"))


def _template() -> str:
    return files("governess.jobs").joinpath("_report_page.html").read_text(encoding="utf-8")


def _data(report: Report) -> dict[str, Any]:
    now = time.time()
    zero = min((each.started for each in report.tries), default=now)
    span = max((_end(each, now) for each in report.tries), default=zero) - zero
    last = {each.job: each for each in report.tries}
    rows, labels = lanes_of(report.tries)
    return {
        "title": f"Jobs of {Path(report.folder).absolute().name}",
        "when": _when(report),
        "tiles": _tiles(report, span),
        "span": round(span, 3),
        "jobs": [_job(job, last.get(job.number), zero, now) for job in report.jobs],
        "tries": [
            [each.job, each.start, row, each.state, *_times(each, zero, now)]
            for each, row in zip(report.tries, rows, strict=True)
        ],
        "hosts": labels if any(each.host for each in report.tries) else [],
        "path": [[_label(job), _took(last.get(job.number), now)] for job in report.critical_path],
        "logs": _logs(report, last),
    }


def _times(each: TryRecord, zero: float, now: float) -> tuple[float, float]:
    return round(each.started - zero, 3), round(_end(each, now) - zero, 3)


def _end(each: TryRecord, now: float) -> float:
    return now if each.ended is None else max(each.started, each.ended)


def _took(last: TryRecord | None, now: float) -> float | None:
    return None if last is None else round(_end(last, now) - last.started, 3)


def _job(job: JobRecord, last: TryRecord | None, zero: float, now: float) -> list[Any]:
    figures: list[Any] = [None, job.reason, None, None, None, None]
    if last is not None:
        began = round(last.started - zero, 3)
        figures = [last.code, job.reason or last.remark, _took(last, now), last.cpu, last.peak, began]
    return [job.number, _plain(job.name), _words(job.command), job.state, job.starts, *figures]


def _label(job: JobRecord) -> str:
    return _plain(job.name) or _words(job.command)


def _words(command: Command) -> str:
    return _plain(command if isinstance(command, str) else joined(command))


def _plain(text: str) -> str:
    """Return the text with a replacement for bytes that are none."""
    return text.encode(errors="surrogateescape").decode(errors="replace")


def _when(report: Report) -> str:
    if not report.runs:
        return "No run yet."
    first, last = report.runs[0], report.runs[-1]
    began = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(first.started))
    runs = "" if len(report.runs) == 1 else f", in {len(report.runs)} runs"
    end = "it has not ended" if last.ended is None else f"ended {time.strftime('%H:%M:%S', time.localtime(last.ended))}"
    return f"Started {began} on {first.host}{runs}; {end}."


def _tiles(report: Report, span: float) -> list[tuple[str, str]]:
    by_count = sorted(report.counts.items(), key=lambda each: -each[1])
    tiles = [(str(state), f"{count:,}") for state, count in by_count]
    tiles.append(("starts", f"{len(report.tries):,}"))
    if report.runs:
        tiles.append(("slots", str(report.runs[-1].slots)))
    if span > 0:
        tiles.append(("ran at once, on average", f"{report.busy / span:.1f}"))
    if report.cpu is not None:
        tiles.append(("seconds of CPU", f"{report.cpu:,.1f}"))
    return tiles


def _logs(report: Report, last: dict[int, TryRecord]) -> dict[int, list[tuple[str, str]]]:
    logs: dict[int, list[tuple[str, str]]] = {}
    left = _MOST_TEXT
    for job in sorted(report.jobs, key=lambda each: each.state is State.DONE):
        if left <= 0 or (job.state is State.DONE and len(report.jobs) > _SHOWN_AFTER) or job.number not in last:
            continue
        path = Path(report.folder, "out", f"{job.number}.{last[job.number].start}")
        if ends := [(title, text) for kind, title in _FILES if (text := end_of(Path(f"{path}.{kind}")))]:
            logs[job.number] = ends
            left -= sum(len(text) for _, text in ends)
    return logs


def end_of(path: Path, size: int = 2000) -> str:
    """Return the last bytes of a file as text, without what controls a terminal; "" if there is no such file."""
    try:
        with path.open("rb") as file:
            length = file.seek(0, 2)
            file.seek(max(0, length - size))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    if length > size:
        text = "… " + (text.partition("\n")[2] or text)
    return "".join(_without_controls(_SEQUENCE.sub("", text)))


# ECMA-48: control sequences, and the strings that set titles and the like.
_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_].*?(?:\x07|\x1b\\)|[ -/]*[0-~])", re.DOTALL)


def _without_controls(text: str) -> Iterable[str]:
    return (letter for letter in text if letter in "\n\t" or (letter >= " " and not "\x7f" <= letter <= "\x9f"))
