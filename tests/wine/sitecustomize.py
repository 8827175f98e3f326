"""Imported by each Python that `make windows` starts: under Wine, a start that Wine has lost is made again.

With Wine 8, CreateProcess fails about once in 3,000 times on a busy machine, by ERROR_INTERNAL_ERROR. It does where the
new process has gone before it was initialized (NtCreateUserProcess() in dlls/ntdll/unix/process.c): nothing of the
program has been executed. Windows has no such error for it, and is left alone. `make windows` tells how often it was.
"""

import ctypes
import os
import sys

_ERROR_INTERNAL_ERROR = 1359
_ATTEMPTS = 3


def _under_wine() -> bool:
    return sys.platform == "win32" and hasattr(ctypes.windll.ntdll, "wine_get_version")


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


if _under_wine():
    _make_lost_starts_again()
