"""One picture a question, readable on light and on dark paper."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from benchmarks.model import Found, Measure, Question
from benchmarks.spread import spread

__all__ = ["draw"]

# In the middle between black and white: 4:1 against both, as the paper of a page can be either.
INK = "#7d7d7d"
OURS, THEIRS, LIMIT = "#2f9e77", "#8793b5", "#c08a3e"
COLUMNS = 3


def draw(question: Question, found: Found, path: Path) -> None:
    """Draw the first measure: a panel a case, a bar or dot a contestant, a line from its lowest to its highest round.

    Raises:
        ImportError: matplotlib is not installed.
    """
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    style = dict.fromkeys(("text.color", "axes.edgecolor", "xtick.color", "ytick.color", "axes.labelcolor"), INK)
    style |= {"svg.fonttype": "none", "svg.hashsalt": question.name, "font.family": "sans-serif", "font.size": 9}
    cases = [case for case in found.rounds if found.rounds[case]]
    columns = min(COLUMNS, len(cases))
    rows = math.ceil(len(cases) / columns)
    names = list(dict.fromkeys(name for case in cases for name in found.rounds[case]))
    with pyplot.rc_context(style):
        size = (3.1 * columns + 1.4, rows * (0.26 * len(names) + 0.9))
        figure, axes = pyplot.subplots(
            rows, columns, figsize=size, squeeze=False, sharex=True, sharey=True, layout="constrained"
        )
        for panel in axes.flat[len(cases) :]:
            panel.set_visible(False)
        for panel, case in zip(axes.flat, cases, strict=False):
            _draw_case(panel, question, found, case, names)
        figure.supxlabel(_label(question.measures[0]), fontsize=9)
        figure.savefig(path, transparent=True, metadata={"Date": None, "Creator": None})
        pyplot.close(figure)


def _draw_case(panel: Any, question: Question, found: Found, case: str, names: list[str]) -> None:
    measure = question.measures[0]
    measured = {name: spread(found.values(case, name, measure.name)) for name in names}
    rows, spreads = zip(*((row, each) for row, each in enumerate(measured.values()) if each), strict=True)
    middles = [each.median * measure.scale for each in spreads]
    below = [(each.median - each.low) * measure.scale for each in spreads]
    above = [(each.high - each.median) * measure.scale for each in spreads]
    colors = [_color(names[row]) for row in rows]
    if question.logarithmic:  # where the length of a bar means nothing
        panel.set_xscale("log")
        panel.xaxis.set_major_formatter("{x:g}")
        panel.xaxis.set_minor_formatter("")
        panel.scatter(middles, rows, color=colors, s=36, zorder=3)
    else:
        panel.barh(rows, middles, color=colors, height=0.7)
    panel.errorbar(middles, rows, xerr=[below, above], fmt="none", ecolor=INK, elinewidth=1, capsize=2)
    panel.set_yticks(range(len(names)), names)
    panel.set_ylim(len(names) - 0.4, -0.6)
    panel.set_title(case, fontsize=9)
    panel.spines[["top", "right"]].set_visible(False)
    panel.grid(axis="x", color=INK, alpha=0.25, linewidth=0.6)
    panel.set_axisbelow(True)


def _label(measure: Measure) -> str:
    return f"{measure.heading} ({'more' if measure.more_is_better else 'less'} is better)"


def _color(name: str) -> str:
    if name.startswith("governess"):
        return OURS
    return LIMIT if name.startswith("C,") else THEIRS
