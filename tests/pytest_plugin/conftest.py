"""Runs of pytest with the plugin, and with no other plugin but those that a test asks for."""

from collections.abc import Callable
from importlib.metadata import distributions

import pytest

Run = Callable[..., pytest.RunResult]

#: Where governess is on the path only, and not installed, nothing has told pytest of the plugin.
HAS_ENTRY_POINT = any(found.entry_points.select(group="pytest11", name="governess") for found in distributions())
PLUGIN = () if HAS_ENTRY_POINT else ("-p", "governess.pytest_plugin")


@pytest.fixture
def run(pytester: pytest.Pytester) -> Run:
    """Runs tests, and tells of each by its name, without the file's."""

    def run(tests: str, *options: str, plugins: tuple[str, ...] = (), apart: bool = False) -> pytest.RunResult:
        pytester.makepyfile(tests)
        others = {"asyncio", "anyio", "hypothesispytest"} - {*plugins}
        without = [word for name in others for word in ("-p", f"no:{name}")]
        start = pytester.runpytest_subprocess if apart else pytester.runpytest_inprocess
        return start("-v", "-W", "error", "-p", "no:cacheprovider", *without, *PLUGIN, *options)

    return run


@pytest.fixture
def ids(run: Run) -> Callable[..., list[str]]:
    """Runs tests that pass or are skipped, and tells the names of those that passed."""

    def ids(tests: str, *options: str, **more: object) -> list[str]:
        result = run(tests, *options, **more)
        assert result.ret == 0, result.outlines
        return [line.partition("::")[2].partition(" ")[0] for line in result.outlines if " PASSED" in line]

    return ids
