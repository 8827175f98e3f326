"""Draw the layers of the package, as pyproject.toml has them for import-linter: `python docs/pictures/layers.py`."""

from __future__ import annotations

import re
import tomllib
from html import escape
from pathlib import Path

HERE = Path(__file__).parent
PROJECT = HERE.parents[1] / "pyproject.toml"
# In pixels: the whole is as wide as a phone.
WIDTH, ROW, GAP = 356, 46, 4
# The hue of each group of layers, by its highest module.
COLORS = {"cli": "#c08a3e", "jobs": "#2f9e77", "subprocess": "#5b7fc7", "_runner": "#8a6fc0", "transports": "#8793b5"}
WHAT = {
    "cli": "the command line",
    "pytest_plugin": "the plugin for pytest",
    "jobs": "runs many programs",
    "services": "keeps programs alive",
    "_programs": "what jobs and services share",
    "subprocess": "run, start, pipeline, ProcessPool, watch",
    "_inherit": "the bridge in all Python processes",
    "_bridge": "install, uninstall",
    "_workers": "the bridge in workers",
    "_nested_runs": "nested runs of a loop",
    "_after_import": "calls after a module is imported",
    "_runner": "run and Runner",
    "policies": "which loop a context gets",
    "files": "watches files",
    "loops": "watched, limited, prioritized, threaded",
    "transports": "a child and its protocol, over any loop",
    "_current_policy": "the current policy",
    "watchers": "notice the exits of children",
    "children": "one child: start, signals, reap",
    "abc": "the two abstract classes",
    "_lazy": "names that are imported on first use",
}


def layers() -> list[list[str]]:
    """Return the modules of each layer, the highest first."""
    contracts = tomllib.loads(PROJECT.read_text())["tool"]["importlinter"]["contracts"]
    rows = next(contract["layers"] for contract in contracts if contract["name"] == "the layers")
    return [re.findall(r"\w+", row) for row in rows]


def draw() -> str:
    """Return the picture.

    Raises:
        KeyError: a module of pyproject.toml is not described here.
    """
    parts, color = [], ""
    rows = layers()
    for row, names in enumerate(rows):
        color = next((COLORS[name] for name in names if name in COLORS), color)
        width = (WIDTH - GAP * (len(names) - 1)) / len(names)
        for column, name in enumerate(names):
            parts.append(_box(name, column * (width + GAP), row * (ROW + GAP), width, color))
    height = len(rows) * (ROW + GAP) - GAP
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'role="img" font-family="system-ui, sans-serif" font-size="11.5">'
    )
    title = f"<title>The layers, the highest first: {'; '.join(', '.join(names) for names in rows)}</title>"
    return "\n".join([head, title, *parts, "</svg>"]) + "\n"


def _box(name: str, x: float, y: float, width: float, color: str) -> str:
    ink = "var(--color-foreground-primary, #7d7d7d)"
    return (
        f'<rect x="{x:g}" y="{y}" width="{width:g}" height="{ROW}" rx="4" fill="{color}" fill-opacity="0.18" '
        f'stroke="{color}"/>'
        f'<text x="{x + 8:g}" y="{y + 19}" font-weight="600" style="fill:{ink}">{name}</text>'
        f'<text x="{x + 8:g}" y="{y + 36}" style="fill:{ink}">{escape(WHAT[name])}</text>'
    )


if __name__ == "__main__":
    (HERE / "layers.svg").write_text(draw())
