"""`governess info`: the loops, watchers and spawners that work here, and the choices of governess."""

import importlib
import importlib.metadata
import os
import platform
import sys
import sysconfig
from collections.abc import Iterator
from importlib.util import find_spec

import click

from governess import __version__

__all__ = ["command"]


@click.command("info", short_help="Show what works here, and what governess chooses.")
def command() -> None:
    """Show the event loops, watchers and spawners that work here, which of them governess chooses, and why."""
    for heading, text in _facts():
        click.echo(f"{heading:<10}  {text}")


def _facts() -> Iterator[tuple[str, str]]:
    yield "governess", __version__
    yield "Python", f"{platform.python_implementation()} {platform.python_version()} ({sys.executable})"
    yield "platform", _platform()
    yield from _loops()
    yield "priorities", _ready_queue()
    yield from _watchers()
    yield from _missing_extensions()


def _platform() -> str:
    if sys.platform == "win32":  # platform.platform() asks WMI, which takes seconds, or hangs under Wine
        return "Windows {0.major}.{0.minor}.{0.build}".format(sys.getwindowsversion())
    return platform.platform()


def _loops() -> Iterator[tuple[str, str]]:
    from governess.loops._choose import choose_loop, uvloop_obstacle

    yield "loop", f"asyncio {choose_loop('asyncio').factory.__name__} of Python {sys.version.split()[0]}"
    obstacle = uvloop_obstacle()
    yield "loop", f"uvloop {importlib.metadata.version('uvloop')}" if obstacle is None else f"uvloop: {obstacle}"
    choice = choose_loop()
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


def _missing_extensions() -> Iterator[tuple[str, str]]:
    """Tell which extensions are not there, why, and how to get them."""
    if sys.platform == "win32" or os.environ.get("GOVERNESS_PURE"):
        return
    reasons = {name: reason for name in _extensions() if (reason := _why_missing(name)) is not None}
    for name, reason in reasons.items():
        yield "missing", f"{name}: {reason}"
    if reasons:
        yield "", "to build it, install a C compiler and the headers of Python, then run"
        yield (
            "",
            f"pip install --force-reinstall --no-deps --no-cache-dir --no-binary governess governess=={__version__}",
        )


def _extensions() -> list[str]:
    free_threaded = sysconfig.get_config_var("Py_GIL_DISABLED")
    return ["governess.children._spawn._native", *([] if free_threaded else ["governess.loops._priority._ready"])]


def _why_missing(name: str) -> str | None:
    if find_spec(name) is None:
        return "pip found no C compiler, or no headers of Python, when it built the package"
    try:
        importlib.import_module(name)
    except ImportError as error:
        return str(error)
    return None
