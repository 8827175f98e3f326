"""Which policies and watchers a test is run with: chosen by mark, command line or ini, and told by its id."""

import sys
from collections.abc import Callable

import pytest

from governess.pytest_plugin._options import policy_names

Ids = Callable[..., list[str]]
Run = Callable[..., pytest.RunResult]

pytestmark = pytest.mark.windows

not_on_windows = pytest.mark.skipif(sys.platform == "win32", reason="there are no watchers and no uvloop")
uvloop = pytest.mark.skipif("uvloop" not in sys.modules, reason="uvloop is not installed")

PLAIN = "def test(): pass"

MATRIX = """
import asyncio
import governess

def test(event_loop_policy_matrix):
    assert governess.get_event_loop_policy() is event_loop_policy_matrix
    governess.run(asyncio.sleep(0))
"""

CHILD = """
import asyncio
import governess
import pytest

async def main():
    process = await asyncio.create_subprocess_exec("sh", "-c", "exit 7")
    loop = asyncio.get_running_loop()
    return await process.wait(), type(loop).__name__, type(loop.governess_policy.get_child_watcher()).__name__

def test(event_loop_policy_matrix, request):
    loop = {"default": "SelectorEventLoop", "uvloop": "Loop"}
    watcher = {"pidfd": "PidfdChildWatcher", "threaded": "ThreadedChildWatcher"}
    policy_name, watcher_name = request.node.callspec.id.split("-")
    assert governess.run(main()) == (7, loop[policy_name], watcher[watcher_name])
"""


def test_off(ids: Ids) -> None:
    """Unasked, the plugin leaves a test as it is."""
    assert ids(PLAIN) == ["test"]


def test_options_leave_plain_tests(ids: Ids) -> None:
    """A test that asks for no policy is run once, whatever is chosen."""
    assert ids(PLAIN, "--governess-policies=default,context") == ["test"]


def test_fixture_alone(ids: Ids) -> None:
    """Where nothing is chosen, the fixture gives the default policy."""
    assert ids(MATRIX) == ["test[default]"]


@uvloop
@not_on_windows
def test_combinations(ids: Ids) -> None:
    """Each policy comes with each watcher, in the order given, and a child is run by both."""
    found = ids(CHILD, "--governess-policies=uvloop,default", "--governess-watchers=pidfd,threaded")
    assert found == ["test[uvloop-pidfd]", "test[uvloop-threaded]", "test[default-pidfd]", "test[default-threaded]"]


def test_all_policies(ids: Ids) -> None:
    """`all` is every policy that there is, and each of them works."""
    assert ids(MATRIX, "--governess-policies=all") == [f"test[{name}]" for name in policy_names()]


@not_on_windows
def test_all_watchers(ids: Ids) -> None:
    """`all` is every watcher that works here."""
    from governess.watchers import available_watchers

    assert ids(MATRIX, "--governess-watchers=all") == [f"test[default-{name}]" for name in available_watchers()]


def test_ini(ids: Ids, pytester: pytest.Pytester) -> None:
    """The choice can stand in ini, and the command line comes first."""
    pytester.makeini("[pytest]\ngoverness_policies = default context")
    assert ids(MATRIX) == ["test[default]", "test[context]"]
    assert ids(MATRIX, "--governess-policies=context") == ["test[context]"]


def test_mark(ids: Ids) -> None:
    """A mark comes before the command line; the nearest one first of all."""
    tests = """
        import pytest

        pytestmark = pytest.mark.governess(policies="context,default")

        def test_file(): pass

        @pytest.mark.governess(policies=["default"])
        def test_function(): pass

        @pytest.mark.governess(may_leave_children=True)
        def test_both(event_loop_policy_matrix): pass
        """
    found = ids(tests, "--governess-policies=shared")
    files = ["test_file[context]", "test_file[default]"]
    assert found == [*files, "test_function[default]", "test_both[context]", "test_both[default]"]


def test_bare_mark(ids: Ids) -> None:
    """A mark without words runs a plain test with what is chosen, under the policy that is then current."""
    tests = """
        import governess, pytest

        @pytest.mark.governess
        def test(): assert type(governess.get_event_loop_policy()) is governess.policies.ContextEventLoopPolicy
        """
    assert ids(tests, "--governess-policies=context") == ["test[context]"]


@uvloop
@not_on_windows
def test_policy_over_loop(ids: Ids) -> None:
    """`kind+loop` is that kind of policy over that loop."""
    tests = """
        import asyncio, governess, uvloop

        async def main():
            return isinstance(asyncio.get_running_loop(), uvloop.Loop)

        def test(event_loop_policy_matrix):
            assert type(event_loop_policy_matrix) is governess.policies.ContextEventLoopPolicy
            assert governess.run(main())
        """
    assert ids(tests, "--governess-policies=context+uvloop") == ["test[context+uvloop]"]


@not_on_windows
def test_own_policy(ids: Ids, pytester: pytest.Pytester) -> None:
    """`module:factory` is a policy of one's own; it is given the watcher where one is chosen."""
    pytester.makepyfile(mine="import governess\nclass Policy(governess.DefaultEventLoopPolicy): pass")
    pytester.syspathinsert()
    tests = """
        import mine
        def test(event_loop_policy_matrix): assert type(event_loop_policy_matrix) is mine.Policy
        """
    assert ids(tests, "--governess-policies=mine:Policy") == ["test[mine:Policy]"]
    assert ids(tests, "--governess-policies=mine:Policy", "--governess-watchers=safe") == ["test[mine:Policy-safe]"]


@pytest.mark.parametrize(
    ("option", "complaint"),
    [
        ("--governess-policies=nosuch", "there is no policy 'nosuch'; there are default, *"),
        ("--governess-policies=default+", "there is no policy 'default+'; there are default, *"),
        ("--governess-policies=no:such", "the policy 'no:such' cannot be used: No module named 'no'"),
        ("--governess-policies=sys:path", "the policy 'sys:path' cannot be used: it is not callable"),
        ("--governess-policies=default+curio", "the loop 'curio' does not exist; there are *"),
        pytest.param("--governess-watchers=pid", "there is no watcher 'pid'; there are pidfd, *", marks=not_on_windows),
        pytest.param("--governess-watchers=kqueue", "the watcher 'kqueue' cannot work here: *", marks=not_on_windows),
    ],
)
def test_usage_error(run: Run, option: str, complaint: str) -> None:
    """A name that means nothing here is a usage error that says what there is."""
    result = run(PLAIN, option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {complaint}"])
    result.stderr.no_fnmatch_line("*Traceback*")


@not_on_windows
def test_unavailable_by_mark(run: Run) -> None:
    """What a mark asks for and this machine does not have is skipped with the reason."""
    tests = """
        import pytest

        @pytest.mark.governess(watchers=["threaded", "kqueue"])
        def test(): pass
        """
    result = run(tests, "-rs")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED * the watcher 'kqueue' cannot work here: this platform has no kqueue; *"])


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("policies=['nosuch']", "there is no policy 'nosuch'; there are default, *"),
        ("'default'", "mark.governess takes policies, watchers, may_leave_children, each by its name"),
        ("policy='default'", "mark.governess takes policies, watchers, may_leave_children, each by its name"),
    ],
)
def test_wrong_mark(run: Run, words: str, complaint: str) -> None:
    """A mark that says nothing sensible is an error of its test, without a traceback."""
    result = run(f"import pytest\n@pytest.mark.governess({words})\ndef test(): pass")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"*::test: {complaint}"])
    result.stdout.no_fnmatch_line("*Traceback*")
