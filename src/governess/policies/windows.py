"""The two policies that asyncio has on Windows alone."""

from __future__ import annotations

import asyncio
import sys

from governess.policies.default import DefaultEventLoopPolicy

assert sys.platform == "win32"

__all__ = ["WindowsProactorEventLoopPolicy", "WindowsSelectorEventLoopPolicy"]


class WindowsSelectorEventLoopPolicy(DefaultEventLoopPolicy):
    """Makes selector loops, which have `add_reader`, and whose children governess starts: threads serve their pipes."""

    _loop_factory = asyncio.SelectorEventLoop


class WindowsProactorEventLoopPolicy(DefaultEventLoopPolicy):
    """Makes proactor loops, which have child processes and no `add_reader`."""

    _loop_factory = asyncio.ProactorEventLoop
