"""Frames of a terminal as one SVG, which plays them once and then shows the last."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby, pairwise
from typing import NamedTuple, Protocol

# One cell and the margin, in pixels: 50 columns are as wide as a phone.
WIDTH, HEIGHT, MARGIN = 7.0, 17, 12
# The colours of a terminal, each at least 4.5:1 against the paper, which is dark on every page.
PAPER, INK = "#1d2433", "#dfe5ef"
COLORS = {
    "black": "#8b95a7",
    "red": "#ff8a80",
    "green": "#7ddc9a",
    "brown": "#f0c674",
    "blue": "#8fb8ff",
    "magenta": "#dfa6ff",
    "cyan": "#7fd6e0",
    "white": INK,
}


class Cell(Protocol):
    """What pyte knows of one character of the screen."""

    data: str
    fg: str
    bold: bool


Row = Sequence[Cell]


class Frame(NamedTuple):
    """The screen from a moment on, in seconds."""

    at: float
    rows: list[Row]


def draw(frames: list[Frame], title: str) -> str:
    """Return the SVG. Each frame is visible for its time; a reader who wants no motion gets the last at once."""
    last = frames[-1]
    columns, rows = len(last.rows[0]), len(last.rows)
    width, height = columns * WIDTH + 2 * MARGIN, rows * HEIGHT + 2 * MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
        f'height="{height:g}" role="img" class="terminal">',
        f"<title>{escape(title)}</title>",
        f"<style>{_style()}</style>",
        f'<rect width="{width:g}" height="{height:g}" rx="8" fill="{PAPER}"/>',
    ]
    begun = frames[0].at
    for frame, following in pairwise(frames):
        timing = f"animation:shown {following.at - frame.at:.2f}s {frame.at - begun:.2f}s"
        parts.append(f'<g class="frame" style="{timing}">{"".join(_lines(frame))}</g>')
    parts.append(f'<g class="last" style="animation:hidden {last.at - begun:.2f}s">{"".join(_lines(last))}</g>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _style() -> str:
    return (
        ".terminal text{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;"
        f"fill:{INK};white-space:pre}}.terminal .bold{{font-weight:bold}}.terminal .frame{{visibility:hidden}}"
        "@keyframes shown{from,to{visibility:visible}}@keyframes hidden{from,to{visibility:hidden}}"
        "@media (prefers-reduced-motion:reduce){.terminal g{animation:none!important}}"
    )


def _lines(frame: Frame) -> Iterator[str]:
    for number, row in enumerate(frame.rows):
        column = 0
        for (color, bold), cells in groupby(row, lambda cell: (cell.fg, cell.bold)):
            text = "".join(cell.data for cell in cells)
            if text.strip():
                yield _run(text, column, number, color, bold)
            column += len(text)


def _run(text: str, column: int, number: int, color: str, bold: bool) -> str:
    """Return characters of one kind, stretched to their cells whatever the font."""
    start = column + len(text) - len(text.lstrip())
    text = text.strip()
    look = ' class="bold"' * bold
    if color != "default":
        look += f' style="fill:{COLORS.get(color.removeprefix("bright"), INK)}"'
    x, y = MARGIN + start * WIDTH, MARGIN + (number + 0.75) * HEIGHT
    return f'<text x="{x:g}" y="{y:g}" textLength="{len(text) * WIDTH:g}"{look}>{escape(text)}</text>'
