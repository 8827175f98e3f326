"""Which of CPython's tests are of policies, watchers and children, version by version."""

from __future__ import annotations

import dataclasses
from fnmatch import fnmatchcase

__all__ = ["SUITES", "Suite"]


@dataclasses.dataclass(frozen=True, slots=True)
class Suite:
    """Tests of one version's `test.test_asyncio`.

    Attributes:
        version: the Python whose tests they are.
        tests: patterns of `module.Class.test`; a module without a pattern is not loaded.
        own_only: run on the Python that they come with alone.
    """

    version: str
    tests: tuple[str, ...]
    own_only: bool = False

    @property
    def modules(self) -> list[str]:
        """The modules to load, each once."""
        return list(dict.fromkeys(pattern.partition(".")[0] for pattern in self.tests))

    def has(self, test: str) -> bool:
        """Tell whether a test belongs to the suite."""
        return any(fnmatchcase(test, pattern) for pattern in self.tests)

    def runs_on(self, python: str) -> bool:
        """Tell whether the suite is to run on this version."""
        return not self.own_only or python == self.version


_CHILDREN = ("test_subprocess.*",)
_WATCHERS_AND_POLICIES = (
    *_CHILDREN,
    "test_unix_events.*ChildWatcherTests.*",
    "test_unix_events.PolicyTests.*",
    "test_unix_events.TestFork.*",
    "test_events.PolicyTests.*",
    "test_events.Test*GetEventLoop.*",
    "test_events.*EventLoopTests.test_subprocess_*",
    "test_runners.*",
    "test_streams.StreamTests.test_read_all_from_pipe_reader",
)

SUITES = (
    Suite("3.11", _WATCHERS_AND_POLICIES),
    Suite("3.12", _WATCHERS_AND_POLICIES),
    Suite("3.13", _WATCHERS_AND_POLICIES),
    Suite("3.14", _CHILDREN),
    Suite("3.15", _CHILDREN, own_only=True),
)
