"""The loop classes that tests run over, for tests and for the interpreters that they start."""

import asyncio
import os
import sys
from asyncio import AbstractEventLoop
from collections.abc import Callable

__all__ = ["LOOPS"]

#: The classes that a program gets where nobody chose.
LOOPS: dict[str, Callable[[], AbstractEventLoop]] = {
    "asyncio": asyncio.ProactorEventLoop if sys.platform == "win32" else asyncio.SelectorEventLoop
}

try:
    import uvloop
except ImportError:
    if os.environ.get("GOVERNESS_REQUIRE_UVLOOP") == "1":
        raise
else:
    LOOPS["uvloop"] = uvloop.Loop
