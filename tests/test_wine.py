"""What `make windows` does where Wine has lost a start, or what wakes a loop."""

import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

SITECUSTOMIZE = Path(__file__).parent / "wine" / "sitecustomize.py"


def create_process(errors: list[int], patch: pytest.MonkeyPatch) -> Callable[[str, str], str]:
    """Return `CreateProcess` as the module leaves it, over one that fails with these errors and then returns."""

    def plain(*arguments: str) -> str:
        if errors:
            error = OSError("lost")
            error.winerror = errors.pop(0)  # type: ignore[attr-defined]
            raise error
        return " ".join(arguments)

    patch.setitem(sys.modules, "_winapi", SimpleNamespace(CreateProcess=plain))
    runpy.run_path(str(SITECUSTOMIZE))["_make_lost_starts_again"]()
    return sys.modules["_winapi"].CreateProcess  # type: ignore[attr-defined,no-any-return]


def test_a_lost_start_is_made_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A start that fails with ERROR_INTERNAL_ERROR is made again, and noted."""
    monkeypatch.setenv("GOVERNESS_LOST_STARTS", str(tmp_path / "lost"))
    assert create_process([1359, 1359], monkeypatch)("program", "-c pass") == "program -c pass"
    assert (tmp_path / "lost").read_text() == "-c pass\n" * 2


@pytest.mark.parametrize("errors", [[2], [1359, 2], [1359, 1359, 1359]])
def test_other_errors_are_raised(monkeypatch: pytest.MonkeyPatch, errors: list[int]) -> None:
    """Any other error is raised at once, and so is the third of these."""
    with pytest.raises(OSError, match="lost"):
        create_process(errors, monkeypatch)("program", "-c pass")


class Socket:
    """A socket that refuses the first sends."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals
        self.sent = b""

    def send(self, data: bytes) -> None:
        if self.refusals:
            self.refusals -= 1
            raise BlockingIOError
        self.sent += data


@pytest.mark.parametrize(("refusals", "sent"), [(0, b"\0"), (3, b"\0"), (100, b"")])
def test_a_lost_wake_is_sent_again(refusals: int, sent: bytes) -> None:
    """What wakes a loop is sent until the socket takes it; a full one is left alone after a hundred times."""
    socket = Socket(refusals)
    runpy.run_path(str(SITECUSTOMIZE))["_write_to_self"](SimpleNamespace(_csock=socket))
    assert (socket.sent, socket.refusals) == (sent, 0)


def test_asyncio_sends_again() -> None:
    """Both loop classes of asyncio wake themselves by it, and the finder hides no other module."""
    code = f"""
import runpy, sys
ours = runpy.run_path({str(SITECUSTOMIZE)!r})
sys.meta_path.insert(0, ours["_LoopsThatSendAgain"])
from asyncio.proactor_events import BaseProactorEventLoop
from asyncio.selector_events import BaseSelectorEventLoop
assert BaseProactorEventLoop._write_to_self is BaseSelectorEventLoop._write_to_self is ours["_write_to_self"]
import asyncio
async def main():
    return await asyncio.to_thread(len, "four")
print(asyncio.run(main()))
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "4\n"
