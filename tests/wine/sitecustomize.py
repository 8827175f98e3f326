"""Imported by each Python that `make windows` starts: under Wine, what Wine has lost is done again.

Windows is left alone. `make windows` tells how often a start was lost.
"""

import ctypes
import importlib.machinery
import os
import sys
import time
from types import ModuleType
from typing import Any

_ERROR_INTERNAL_ERROR = 1359
_ATTEMPTS = 3


def _under_wine() -> bool:
    return sys.platform == "win32" and hasattr(ctypes.windll.ntdll, "wine_get_version")


# With Wine 8, CreateProcess fails about once in 3,000 times on a busy machine, by ERROR_INTERNAL_ERROR. It does where
# the new process has gone before it was initialized (NtCreateUserProcess() in dlls/ntdll/unix/process.c): nothing of
# the program has been executed. Windows has no such error for it.
def _make_lost_starts_again() -> None:
    import _winapi

    create_process = _winapi.CreateProcess

    def create(*arguments: object) -> object:
        for _ in range(_ATTEMPTS - 1):
            try:
                return create_process(*arguments)
            except OSError as error:
                if error.winerror != _ERROR_INTERNAL_ERROR:
                    raise
                _note(str(arguments[1]))
        return create_process(*arguments)

    _winapi.CreateProcess = create


def _note(command: str) -> None:
    if (path := os.environ.get("GOVERNESS_LOST_STARTS")) is not None:
        with open(path, "a", encoding="utf-8") as file:
            file.write(f"{command}\n")


# With Wine 8, a non-blocking send() to a socket with an empty buffer fails by WSAEWOULDBLOCK while another thread sends
# there. asyncio takes this error for a full buffer, whose bytes wake the loop: a loop that has read the other thread's
# byte by then sleeps on, with a callback to call.
_LOOP_CLASSES = {"asyncio.selector_events": "BaseSelectorEventLoop", "asyncio.proactor_events": "BaseProactorEventLoop"}


class _LoopsThatSendAgain:
    """A finder of asyncio's modules that has their loop classes send again what wakes a loop."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if name not in _LOOP_CLASSES:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        assert spec is not None
        loader: Any = spec.loader
        execute = loader.exec_module

        def execute_and_change(module: ModuleType) -> None:
            execute(module)
            getattr(module, _LOOP_CLASSES[name])._write_to_self = _write_to_self

        loader.exec_module = execute_and_change
        return spec


def _write_to_self(loop: Any) -> None:
    """Wake the loop, as asyncio does; try again for a tenth of a second where the socket takes nothing."""
    for _ in range(100):
        if (socket := loop._csock) is None:
            return
        try:
            socket.send(b"\0")
        except BlockingIOError:
            time.sleep(0.001)
        except OSError:
            return
        else:
            return


if _under_wine():
    _make_lost_starts_again()
    sys.meta_path.insert(0, _LoopsThatSendAgain)
