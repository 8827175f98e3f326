"""A test leaves policy, loop, watcher, asyncio's names and SIGCHLD as it found them."""

import sys
from collections.abc import Callable

import pytest

Ids = Callable[..., list[str]]
Run = Callable[..., pytest.RunResult]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the changes are those of Unix")

ON = "--governess-policies=default"

#: What is there before, a change to it, and what tells that it is as before.
CHANGES = {
    "policy": (
        "governess.get_event_loop_policy()",
        "governess.set_event_loop_policy(governess.DefaultEventLoopPolicy())",
        "governess.get_event_loop_policy() is before",
    ),
    "watcher": (
        "governess.get_child_watcher()",
        "governess.set_child_watcher(governess.ThreadedChildWatcher())",
        "governess.get_child_watcher() is before",
    ),
    "loop": (
        "closed_loop()",
        "governess.set_event_loop(closed_loop())",
        "governess.get_event_loop() is before",
    ),
    "sigchld": (
        "signal.getsignal(signal.SIGCHLD)",
        "signal.signal(signal.SIGCHLD, lambda *_: None)",
        "signal.getsignal(signal.SIGCHLD) == before",
    ),
    "bridge": (
        "dict(vars(asyncio))",
        "governess.install()",
        "vars(asyncio) == before",
    ),
    "no_bridge": (
        "governess.install()",
        "governess.uninstall()",
        "vars(asyncio).get('get_event_loop_policy') is governess.get_event_loop_policy",
    ),
}

TWICE = """
import asyncio, pytest, signal
import governess

def closed_loop():
    loop = governess.new_event_loop()
    loop.close()
    governess.set_event_loop(loop)
    return loop

@pytest.fixture(scope="module", autouse=True)
def prepare():
    global before
    governess.set_event_loop_policy(governess.DefaultEventLoopPolicy())
    before = {before}
    yield
    governess.uninstall()
    governess.set_event_loop_policy(None)

@pytest.mark.parametrize("fails", [True, False])
def test(fails):
    assert {same}
    {change}
    assert not ({same})
    if fails:
        pytest.xfail("as planned")
"""


def test_restored(run: Run, pytester: pytest.Pytester) -> None:
    """What one test changes, the next one finds as it was, whether the first one passes or fails."""
    for name, (before, change, same) in CHANGES.items():
        pytester.makepyfile(**{f"test_{name}": TWICE.format(before=before, change=change, same=same)})
    run("", ON, apart=True).assert_outcomes(passed=len(CHANGES), xfailed=len(CHANGES))


def test_asyncio_policy(run: Run) -> None:
    """A policy of asyncio's own is put back too, where asyncio has policies."""
    tests = """
        import asyncio, pytest, warnings
        warnings.simplefilter("ignore")
        if not hasattr(asyncio, "set_event_loop_policy"):
            pytest.skip("no policies", allow_module_level=True)
        class Mine(asyncio.DefaultEventLoopPolicy): pass

        @pytest.mark.filterwarnings("ignore")
        @pytest.mark.parametrize("time", [1, 2])
        def test(time):
            assert type(asyncio.get_event_loop_policy()) is not Mine
            asyncio.set_event_loop_policy(Mine())
        """
    result = run(tests, ON, apart=True)
    assert not result.parseoutcomes().keys() & {"failed", "error", "errors"}, result.outlines


def test_unasked(ids: Ids) -> None:
    """Unasked, nothing is put back."""
    tests = """
        import signal

        def test_change():
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)

        def test_next():
            assert signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN
        """
    assert ids(tests, apart=True) == ["test_change", "test_next"]


def test_fixture_keeps_its_change(ids: Ids) -> None:
    """What a fixture sets is the fixture's to put back."""
    tests = """
        import governess, pytest

        @pytest.fixture(scope="module", autouse=True)
        def mine():
            with governess.DefaultEventLoopPolicy() as policy:
                governess.set_event_loop_policy(policy)
                yield policy
                governess.set_event_loop_policy(None)

        @pytest.mark.parametrize("time", [1, 2])
        def test(time, mine):
            assert governess.get_event_loop_policy() is mine
        """
    assert ids(tests, ON) == ["test[1]", "test[2]"]


def test_policy_of_matrix_is_closed(ids: Ids) -> None:
    """The policy of a test is closed at its end, with its loops, and is current no more."""
    tests = """
        import governess
        loops = []

        def test(event_loop_policy_matrix):
            loops.append(governess.new_event_loop())

        def test_next():
            assert loops[0].is_closed()
            assert governess.get_event_loop_policy() is not loops[0].governess_policy
        """
    assert ids(tests) == ["test[default]", "test_next"]
