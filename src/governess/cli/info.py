"""`governess info`: the loops, watchers and spawners that work here, and the choices of governess."""

import platform
import sys
from collections.abc import Iterator

import click

from governess import __version__

__all__ = ["command"]


@click.command("info", short_help="Tell what governess finds here and what it chooses.")
def command() -> None:
    """Tell the platform, the event loops found, and the watcher and spawner chosen and why."""
    for heading, text in _facts():
        click.echo(f"{heading:<10}  {text}")


def _facts() -> Iterator[tuple[str, str]]:
    yield "governess", __version__
    yield "Python", f"{platform.python_implementation()} {platform.python_version()} ({sys.executable})"
    yield "platform", _platform()
    yield from _loops()
    yield "priorities", _ready_queue()
    yield from _watchers()


def _platform() -> str:
    if sys.platform == "win32":  # platform.platform() asks WMI, which takes seconds, or hangs under Wine
        return "Windows {0.major}.{0.minor}.{0.build}".format(sys.getwindowsversion())
    return platform.platform()


def _loops() -> Iterator[tuple[str, str]]:
    from governess.loops._choose import available_loops, choose_loop

    for name, detail, found in available_loops():
        yield "loop", f"{name} {detail}" if found else f"{name}: {detail}"
    choice = choose_loop("auto")
    yield "", f"auto takes {choice.name}: {choice.reason}"


def _ready_queue() -> str:
    from governess.loops._priority import ReadyQueue, ready

    return "the queue of prioritized loops is in " + ("Python" if ReadyQueue is ready.ReadyQueue else "C")


def _watchers() -> Iterator[tuple[str, str]]:
    if sys.platform == "win32":
        yield "watchers", "none to choose: a thread waits for each child of a selector loop"
        yield "spawner", "subprocess.Popen in helper threads; in a proactor loop, asyncio's own"
    else:
        from governess import watchers
        from governess.children import _spawn as spawn

        choice = watchers.choose_watcher()
        yield "watchers", ", ".join(watchers.available_watchers())
        yield "", f"auto takes {choice.name}: {choice.reason}"
        name, reason = spawn.describe()
        yield "spawner", f"{name}: {reason}"
