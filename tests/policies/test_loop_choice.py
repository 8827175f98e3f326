"""Which loop a name means: auto, asyncio, uvloop, module:factory."""

import asyncio
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import governess
from governess.loops import LOOPS, available_loops, choose_loop

pytestmark = pytest.mark.windows

ASYNCIO = asyncio.ProactorEventLoop if sys.platform == "win32" else asyncio.SelectorEventLoop
NO_UVLOOP = (
    "there is none for Windows" if sys.platform == "win32" else "not installed (pip install 'governess[uvloop]')"
)


@pytest.fixture
def without_uvloop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where uvloop is, it is not found."""
    find_spec = importlib.util.find_spec

    def find(name: str, package: str | None = None) -> Any:
        return None if name == "uvloop" else find_spec(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", find)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An importable module `chosen`, to be written."""
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path / "chosen.py"
    sys.modules.pop("chosen", None)


def test_asyncio() -> None:
    """`asyncio` is the class that asyncio itself would take here."""
    choice = choose_loop("asyncio")
    assert (choice.name, choice.factory, choice.reason) == ("asyncio", ASYNCIO, "asked for")


def test_uvloop() -> None:
    """`uvloop` is uvloop.Loop."""
    uvloop = pytest.importorskip("uvloop")
    choice = choose_loop("uvloop")
    assert (choice.name, choice.factory, choice.reason) == ("uvloop", uvloop.Loop, "asked for")


def test_auto() -> None:
    """`auto`, which is the default, is uvloop where it is installed."""
    uvloop = pytest.importorskip("uvloop")
    choice = choose_loop()
    assert choice == choose_loop("auto")
    assert (choice.name, choice.factory, choice.reason) == ("uvloop", uvloop.Loop, "the fastest that is installed")


def test_auto_without_uvloop(without_uvloop: None) -> None:
    """`auto` is asyncio where uvloop is not, and says why."""
    choice = choose_loop()
    assert (choice.name, choice.factory, choice.reason) == ("asyncio", ASYNCIO, f"uvloop: {NO_UVLOOP}")


def test_uvloop_missing(without_uvloop: None) -> None:
    """To ask for a uvloop that is not there is a ValueError that says how to get it."""
    with pytest.raises(ValueError, match="the loop 'uvloop' cannot be used: ") as caught:
        choose_loop("uvloop")
    assert str(caught.value).endswith(NO_UVLOOP)


def test_module_and_factory() -> None:
    """`module:factory` is what it says."""
    choice = choose_loop("asyncio:SelectorEventLoop")
    assert choice.name == "asyncio:SelectorEventLoop"
    assert choice.factory is asyncio.SelectorEventLoop
    assert choice.reason == "asked for"


def test_dotted_factory(module: Path) -> None:
    """The factory can stand inside a class."""
    module.write_text("import asyncio\nclass Loops:\n    best = asyncio.SelectorEventLoop\n")
    assert choose_loop("chosen:Loops.best").factory is asyncio.SelectorEventLoop


def test_choice_in_a_policy(loop_name: str, loop_factory: Any) -> None:
    """The factory of a choice is what a policy takes."""
    with governess.DefaultEventLoopPolicy(choose_loop(loop_name).factory) as policy:
        loop = policy.new_event_loop()
        assert isinstance(loop, loop_factory)
        assert loop.run_until_complete(asyncio.sleep(0, "ran")) == "ran"


@pytest.mark.parametrize("name", ["", "fastest", "Asyncio", ":", "asyncio:", ":Loop"])
def test_unknown(name: str) -> None:
    """A name that means nothing is a ValueError that lists what there is."""
    with pytest.raises(ValueError, match="does not exist") as caught:
        choose_loop(name)
    assert str(caught.value) == f"the loop {name!r} does not exist; there are auto, asyncio, uvloop, and module:factory"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("no_such_module:Loop", "No module named 'no_such_module'"),
        ("asyncio:NoSuchLoop", "module 'asyncio' has no attribute 'NoSuchLoop'"),
        ("asyncio:events.NoSuchLoop", "module 'asyncio.events' has no attribute 'NoSuchLoop'"),
        ("asyncio:tasks", "it is not callable"),
        (".relative:Loop", "the 'package' argument is required"),
    ],
)
def test_cannot_be_imported(name: str, why: str) -> None:
    """What cannot be imported or called is a ValueError that says why."""
    with pytest.raises(ValueError, match="cannot be used: ") as caught:
        choose_loop(name)
    assert str(caught.value).startswith(f"the loop {name!r} cannot be used: {why}")


def test_module_that_raises(module: Path) -> None:
    """What a module raises while it is imported is told in the ValueError, and is its cause."""
    module.write_text("raise OSError('not here')\n")
    with pytest.raises(ValueError, match="the loop 'chosen:Loop' cannot be used: not here") as caught:
        choose_loop("chosen:Loop")
    assert isinstance(caught.value.__cause__, OSError)


def test_available(loop_name: str) -> None:
    """Each installed loop is listed, and can be chosen."""
    assert loop_name in available_loops()
    assert choose_loop(loop_name).name == loop_name


def test_not_available(without_uvloop: None) -> None:
    """A loop that is missing is not listed."""
    assert LOOPS == ("asyncio", "uvloop")
    assert available_loops() == ("asyncio",)
