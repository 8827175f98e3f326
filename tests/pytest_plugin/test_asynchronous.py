"""Tests of pytest-asyncio and of anyio's plugin run in the loops that were chosen."""

import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from types import SimpleNamespace
from typing import Any

import pytest

from asyncio_version import SIMULATED
from governess import pytest_plugin as plugin

Ids = Callable[..., list[str]]
Run = Callable[..., pytest.RunResult]


def is_installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the tests start children by a watcher")
asyncio_plugin = pytest.mark.skipif(
    SIMULATED or not is_installed("pytest-asyncio"),
    reason="pytest-asyncio is not installed, or asks for the policies that 3.16 has not",
)
anyio_plugin = pytest.mark.skipif(not is_installed("anyio"), reason="anyio is not installed")

OPTIONS = ("--governess-policies=default,context", "--governess-watchers=pidfd,threaded")
COMBINATIONS = ("default-pidfd", "default-threaded", "context-pidfd", "context-threaded")

CHILD = """
import asyncio, governess, pytest

async def child():
    loop = asyncio.get_running_loop()
    assert loop.governess_policy is governess.get_event_loop_policy()
    process = await asyncio.create_subprocess_exec("sh", "-c", "exit 7")
    assert await process.wait() == 7
    return loop
"""

ASYNCIO = f"""
{CHILD}
pytestmark = pytest.mark.asyncio

async def test():
    await child()
"""

ANYIO = f"""
{CHILD}
@pytest.fixture(scope="module")
def anyio_backend(anyio_backend_matrix):
    return anyio_backend_matrix

@pytest.mark.anyio
async def test():
    await child()
"""


@pytest.fixture
def asyncio_ini(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function")


@asyncio_plugin
@pytest.mark.usefixtures("asyncio_ini")
class TestPytestAsyncio:
    def test_off(self, ids: Ids) -> None:
        """Unasked, a test runs once, in pytest-asyncio's own loop."""
        tests = """
            import asyncio, pytest

            @pytest.mark.asyncio
            async def test():
                assert not hasattr(asyncio.get_running_loop(), "governess_policy")
            """
        assert ids(tests, plugins=("asyncio",)) == ["test"]

    def test_options(self, ids: Ids) -> None:
        """A test runs once in a loop of each combination, whose policy is the current one."""
        assert ids(ASYNCIO, *OPTIONS, plugins=("asyncio",)) == [f"test[{name}]" for name in COMBINATIONS]

    def test_mark(self, ids: Ids) -> None:
        """A mark chooses for its test alone; a single combination leaves the name as it is."""
        tests = f"""
            {CHILD}
            @pytest.mark.asyncio
            async def test_other():
                assert not hasattr(asyncio.get_running_loop(), "governess_policy")

            @pytest.mark.asyncio
            @pytest.mark.governess(watchers="safe,fast")
            async def test():
                await child()

            @pytest.mark.asyncio
            @pytest.mark.governess
            async def test_one():
                await child()
            """.replace("\n            ", "\n")
        found = ids(tests, plugins=("asyncio",))
        assert found == ["test_other", "test[default-safe]", "test[default-fast]", "test_one"]

    def test_fixture(self, ids: Ids) -> None:
        """A test that asks for the fixture runs once with each policy, in a loop of it, asked for or not."""
        tests = f"""
            {CHILD}
            @pytest.mark.asyncio
            async def test(event_loop_policy_matrix):
                assert (await child()).governess_policy is event_loop_policy_matrix
            """.replace("\n            ", "\n")
        assert ids(tests, plugins=("asyncio",)) == ["test[default]"]
        assert ids(tests, *OPTIONS, plugins=("asyncio",)) == [f"test[{name}]" for name in COMBINATIONS]

    def test_loop_of_module(self, ids: Ids, pytester: pytest.Pytester) -> None:
        """A loop of a wider scope serves all its tests, with its watcher and that watcher's handler of SIGCHLD."""
        end = "import signal\ndef test_end(): assert signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL"
        pytester.makepyfile(test_then=end)
        tests = f"""
            {CHILD}
            import signal
            loops = set()

            @pytest.mark.asyncio(loop_scope="module")
            @pytest.mark.parametrize("time", [1, 2])
            async def test(time):
                loops.add(await child())
                assert len(loops) == 1
                assert signal.getsignal(signal.SIGCHLD) != signal.SIG_DFL
            """.replace("\n            ", "\n")
        found = ids(tests, "--governess-watchers=safe", plugins=("asyncio",), apart=True)
        assert found == ["test[1]", "test[2]", "test_end"]

    def test_async_fixtures(self, ids: Ids) -> None:
        """Asynchronous fixtures run in the same loop as the test."""
        tests = f"""
            {CHILD}
            import pytest_asyncio

            @pytest_asyncio.fixture
            async def loop():
                yield await child()
                await child()

            @pytest.mark.asyncio
            async def test(loop):
                assert asyncio.get_running_loop() is loop
            """.replace("\n            ", "\n")
        assert ids(tests, *OPTIONS, plugins=("asyncio",)) == [f"test[{name}]" for name in COMBINATIONS]

    def test_own_hook(self, ids: Ids, pytester: pytest.Pytester) -> None:
        """The hook of a conftest.py comes first."""
        pytester.makeconftest(
            """
            import asyncio
            def pytest_asyncio_loop_factories(config, item):
                return {"a": asyncio.SelectorEventLoop, "b": asyncio.SelectorEventLoop}
            """
        )
        tests = "import pytest\n@pytest.mark.asyncio\nasync def test(): pass"
        assert ids(tests, *OPTIONS, plugins=("asyncio",)) == ["test[a]", "test[b]"]

    def test_unavailable_by_mark(self, run: Run) -> None:
        """What a mark asks for and this machine does not have is skipped with the reason."""
        tests = """
            import pytest

            @pytest.mark.asyncio
            @pytest.mark.governess(watchers=["threaded", "kqueue"])
            async def test(): pass
            """
        result = run(tests, "-rs", plugins=("asyncio",))
        result.assert_outcomes(passed=1, skipped=1)
        result.stdout.fnmatch_lines(["SKIPPED * the watcher 'kqueue' cannot work here: *"])

    def test_left_child(self, run: Run) -> None:
        """A child that an asynchronous test leaves running is an error of that test."""
        tests = """
            import asyncio, pytest

            @pytest.mark.asyncio
            async def test():
                await asyncio.create_subprocess_exec("sleep", "68")
            """
        result = run(tests, "--governess-policies=default", "-W", "ignore", plugins=("asyncio",), apart=True)
        result.assert_outcomes(passed=1, errors=1)
        result.stdout.re_match_lines([r"the test left running: child \d+ \(sleep 68\)"])


@anyio_plugin
class TestAnyio:
    def test_options(self, ids: Ids) -> None:
        """A test runs once in a loop of each combination, whose policy is the current one."""
        assert ids(ANYIO, *OPTIONS, plugins=("anyio",)) == [f"test[{name}]" for name in COMBINATIONS]

    def test_unasked(self, ids: Ids) -> None:
        """The fixture alone gives the default policy."""
        assert ids(ANYIO, plugins=("anyio",)) == ["test[default]"]

    def test_with_trio(self, ids: Ids) -> None:
        """The fixture stands beside other backends."""
        tests = """
            import pytest

            @pytest.fixture(scope="module", params=["ours", "asyncio"])
            def anyio_backend(request):
                return request.getfixturevalue("anyio_backend_matrix") if request.param == "ours" else request.param

            @pytest.mark.anyio
            @pytest.mark.usefixtures("anyio_backend_matrix")
            async def test(): pass
            """
        assert ids(tests, plugins=("anyio",)) == ["test[default-ours]", "test[default-asyncio]"]


def test_neither_is_there(ids: Ids) -> None:
    """Where neither can be imported, the plugin works for plain tests."""
    conftest = "import sys\nsys.modules.update(pytest_asyncio=None, anyio=None)\n"
    tests = f"{conftest}\ndef test(event_loop_policy_matrix): pass"
    assert ids(tests, *OPTIONS, apart=True) == [f"test[{name}]" for name in COMBINATIONS]


@pytest.mark.parametrize(
    ("has_hook", "mode", "markers", "is_told"),
    [
        (False, "strict", ["asyncio"], True),
        (False, "auto", [], True),
        (False, "strict", [], False),
        (True, "auto", ["asyncio"], False),
    ],
)
def test_old_pytest_asyncio(has_hook: bool, mode: str, markers: list[str], is_told: bool) -> None:
    """A test that pytest-asyncio runs gets a warning where that cannot be told of loops, as before 1.4.

    What pytest passes is played here, since an environment has one version of pytest-asyncio.
    """

    async def test() -> None: ...

    hook = SimpleNamespace(**({plugin.LOOP_FACTORIES_HOOK: None} if has_hook else {}))
    manager = SimpleNamespace(hasplugin=lambda name: name == "asyncio")
    config = SimpleNamespace(pluginmanager=manager, hook=hook, getini={"asyncio_mode": mode}.get)
    definition = SimpleNamespace(get_closest_marker=lambda name: name if name in markers else None)
    metafunc: Any = SimpleNamespace(config=config, definition=definition, function=test)
    assert plugin._runs_in_old_pytest_asyncio(metafunc) is is_told
