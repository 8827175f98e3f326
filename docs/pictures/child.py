"""Draw the way of one child through the modules: `python docs/pictures/child.py`."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
# In pixels: the whole is as wide as a phone.
WIDTH, BOX, ARROW, HEADING = 356, 46, 16, 30
COLORS = {"subprocess": "#5b7fc7", "transports": "#8793b5", "children": "#2f9e77", "watchers": "#c08a3e"}
OTHER = "#8a6fc0"


class Step(NamedTuple):
    """A call on the way: the module, the function that is called there, and what it does."""

    module: str
    function: str
    what: str


START = (
    Step("subprocess/_streams", "create_subprocess_exec", "makes the command, and readers for the output"),
    Step("transports/_start", "start_child", "leads through the steps; undoes them on failure"),
    Step("policies/_default", "DefaultEventLoopPolicy.get_child_watcher", "returns the policy's watcher"),
    Step("children/_spawn/native", "NativeSpawner.spawn", "starts the program in a new thread"),
    Step("children/_child", "Child.__init__", "stores the pid and the pidfd"),
    Step("transports/_transport", "ChildTransport.__init__", "gets the child and its pipes"),
    Step("watchers/_base", "ChildWatcher._add_handler", "stores the handler for the exit"),
    Step("watchers/_pidfd", "PollerChildWatcher._watch", "adds the pidfd to the loop's epoll"),
    Step("transports/_transport", "ChildTransport.connect", "connects the pipes, and then the protocol"),
    Step("subprocess/_process", "Process.__init__", "is what the caller gets"),
)
EXIT = (
    Step("watchers/_pidfd", "_LoopPoller._handle_exits", "sees which pidfds are readable"),
    Step("children/_child", "Child.reap", "reaps under the lock, and stores the Exit"),
    Step("watchers/_base", "_Handler.__call__", "calls the handler"),
    Step("transports/_transport", "ChildTransport.process_exited", "informs the protocol and all waiting callers"),
    Step("subprocess/_process", "Process.wait", "returns the Exit"),
)


def draw() -> str:
    """Return the picture."""
    parts, y = [], 0
    for heading, steps in (("A start", START), ("An exit", EXIT)):
        parts.append(_text(0, y + 20, heading, 700, 14))
        y += HEADING
        for number, step in enumerate(steps):
            if number:
                parts.append(_arrow(y))
                y += ARROW
            parts.append(_box(step, y))
            y += BOX
        y += ARROW
    height = y - ARROW
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'role="img" font-family="system-ui, sans-serif" font-size="11.5">'
    )
    title = f"<title>A start: {_listed(START)}. An exit: {_listed(EXIT)}.</title>"
    return "\n".join([head, title, *parts, "</svg>"]) + "\n"


def _listed(steps: tuple[Step, ...]) -> str:
    return "; ".join(f"{step.module} {step.what}" for step in steps)


def _box(step: Step, y: int) -> str:
    color = COLORS.get(step.module.partition("/")[0], OTHER)
    rectangle = (
        f'<rect x="0.5" y="{y}.5" width="{WIDTH - 1}" height="{BOX - 1}" rx="4" fill="{color}" fill-opacity="0.18" '
        f'stroke="{color}"/>'
    )
    return "\n".join([rectangle, _text(8, y + 19, step.module, 600), _text(8, y + 36, step.what)])


def _arrow(y: int) -> str:
    middle = WIDTH // 2
    return f'<path d="M{middle} {y + 1}v{ARROW - 4}m-4 -4l4 4l4 -4" fill="none" stroke="#8793b5" stroke-width="1.5"/>'


def _text(x: int, y: int, text: str, weight: int = 400, size: float = 11.5) -> str:
    ink = "var(--color-foreground-primary, #7d7d7d)"
    return f'<text x="{x}" y="{y}" font-weight="{weight}" font-size="{size:g}" style="fill:{ink}">{escape(text)}</text>'


if __name__ == "__main__":
    (HERE / "child.svg").write_text(draw())
