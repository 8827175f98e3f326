"""Anything at all as an argument: the process survives, and errors are Python's own."""

import asyncio
import os
import select
import signal
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from governess.children._spawn import Spawner
from spawning import WAYS, _native, command, end, needs_extension, spawner_by

pytestmark = needs_extension

EXPECTED = (OSError, TypeError, ValueError, OverflowError, LookupError, AttributeError, RuntimeError, MemoryError)

texts = st.one_of(
    st.text(max_size=20),
    st.binary(max_size=20),
    st.sampled_from(["", "\0", "true", "/bin/true", "x" * 200_000, "\udc80", "a=b", b"\xff", "/", "."]),
)
numbers = st.one_of(
    st.integers(-5, 20),
    st.sampled_from(
        [1 << 31, (1 << 31) - 1, -(1 << 31), -(1 << 31) + 1, (1 << 32) - 1, 1 << 32, 1 << 63, 1 << 64, 1 << 80]
    ),
)
anything = st.one_of(
    st.none(), numbers, texts, st.booleans(), st.floats(), st.lists(numbers, max_size=2), st.just(object())
)
# Descriptors that a child may have or spoil; none that would reach a terminal or another user.
descriptors = st.one_of(st.integers(-8, 300), st.sampled_from([1 << 31, 1 << 40, -(1 << 31)]))

FIELDS: list[tuple[st.SearchStrategy, Any]] = [
    (st.lists(st.one_of(texts, anything), max_size=4).map(tuple), ("true",)),
    (texts, "true"),
    (st.one_of(st.none(), texts), "/bin:/usr/bin"),
    (st.one_of(st.none(), st.dictionaries(texts, st.one_of(texts, numbers), max_size=4)), None),
    (st.one_of(st.none(), st.sampled_from(["/", "/missing", "\0", b"/", ""])), None),
    (st.lists(descriptors, max_size=4).map(tuple), (-1, -1, -1)),
    (st.booleans(), True),
    (st.lists(descriptors, max_size=5).map(tuple), ()),
    (st.booleans(), True),
    (st.booleans(), False),
    (st.sampled_from([-1, 0, 1 << 31, 1 << 40, -5]), -1),
    (st.one_of(st.none(), st.lists(numbers, max_size=3).map(tuple)), None),
    (st.sampled_from([-1, 1 << 32, 1 << 63, 65534]), -1),
    (st.sampled_from([-1, 1 << 32, 1 << 63, 65534]), -1),
    (st.sampled_from([-1, 0, 0o777, 1 << 20]), -1),
    (st.sampled_from([-1, 0, 1, 4096, 65536, (1 << 31) - 1]), -1),
    (st.sampled_from([0, 1, 19, 100]), 0),
    (st.sampled_from([0, 9, 15, 64, 65, -1, 1000]), 0),
    (st.sampled_from([-1, 5, 9999]), -1),
    (
        st.lists(
            st.tuples(st.integers(-1, 20), st.sampled_from([-1, 0, 64, 1 << 40]), st.sampled_from([-1, 1 << 40])),
            max_size=2,
        ).map(tuple),
        (),
    ),
]


@st.composite
def submissions(draw: st.DrawFn) -> list[Any]:
    """Arguments of `submit` of which a few are odd, and now and then one is of a wrong type or missing."""
    odd = draw(st.sets(st.integers(0, len(FIELDS) - 1), max_size=3))
    arguments = [draw(strategy) if number in odd else plain for number, (strategy, plain) in enumerate(FIELDS)]
    if draw(st.integers(0, 5)) == 0:
        arguments[draw(st.integers(0, len(arguments) - 1))] = draw(anything)
    if draw(st.integers(0, 30)) == 0:
        arguments.pop()
    return arguments


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest):
    with spawner_by(request.param):
        yield request.param


ALWAYS = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@ALWAYS
@given(
    arguments=submissions(),
    key=st.one_of(st.integers(0, (1 << 64) - 1), texts, st.none(), st.floats()),
    cancelled=st.booleans(),
)
def test_submit(way: str, arguments: list[Any], key: Any, cancelled: bool) -> None:
    """What the channel is told ends in an outcome or an exception, and in nothing else."""
    channel = _native.Channel()
    try:
        channel.submit(key, *arguments)
    except EXPECTED:
        channel.close()
        return
    if cancelled:
        channel.cancel(key)
        channel.close()
        assert _native.finish(20)
        return
    assert select.select([channel], [], [], 20)[0]
    started = channel.take()
    _, pid, pidfd, *pipes, _, error, step = started.outcome()
    started.release()
    with pytest.raises(ValueError, match="released"):
        started.outcome()
    assert channel.take() is None
    channel.close()
    for descriptor in (pidfd, *pipes):
        if descriptor >= 0:
            os.close(descriptor)
    if step is None:
        assert error == 0
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    else:
        assert error > 0


@ALWAYS
@given(
    args=st.one_of(st.lists(st.one_of(texts, anything), max_size=4), texts, anything),
    options=st.dictionaries(
        st.sampled_from(
            ["cwd", "env", "executable", "pass_fds", "umask", "pipesize", "close_fds", "process_group", "x"]
        ),
        anything,
        max_size=3,
    ),
    stdio=st.tuples(*[st.one_of(st.sampled_from([None, -1, -3]), st.integers(-8, 300), anything)] * 3),
)
def test_spawn(args: Any, options: dict[str, Any], stdio: tuple[Any, ...]) -> None:
    """What the spawner is told ends in a child or an exception, and in nothing else."""
    asked = command(args, stdin=-3 if stdio[0] is None else stdio[0], stdout=stdio[1], stderr=stdio[2], **options)
    with spawner_by(WAYS[0]) as spawner, asyncio.Runner() as runner:
        try:
            born = runner.run(spawner.spawn(asked)).claim()
        except EXPECTED:
            return
        except RuntimeWarning:  # pass_fds overriding close_fds
            return
    born.child.signal(signal.SIGKILL)
    end(born)


@pytest.mark.parametrize("timeout", [float("nan"), float("inf"), -1.0, 1e300, 1 << 80])
def test_finish_with_an_odd_timeout(timeout: float) -> None:
    """A timeout is a number of seconds."""
    with pytest.raises((ValueError, OverflowError)):
        _native.finish(timeout)


class Acts:
    """A word that acts while the extension reads it."""

    def __init__(self, act: Callable[[], object]) -> None:
        self.act = act

    def __fspath__(self) -> str:
        self.act()
        return "X"


def test_a_word_that_closes_the_channel(way: str) -> None:
    """A channel that is closed while its arguments are read refuses them."""
    channel = _native.Channel()
    with pytest.raises(ValueError, match="closed"):
        channel.submit(1, (Acts(channel.close),), *[plain for _, plain in FIELDS][1:])


@pytest.mark.parametrize("values", ["names", "values"])
def test_an_environment_that_changes(way: str, values: str) -> None:
    """Items that are taken away while the extension reads them do no harm: it has them all by then."""
    items: list[Any] = []
    acts = Acts(items.clear)
    items += [(acts, "v") if values == "names" else ("v", acts), ("a", "b")]

    class Environment(dict[str, str]):
        def items(self) -> Any:
            return items

    channel = _native.Channel()
    arguments = [plain for _, plain in FIELDS]
    channel.submit(1, *arguments[:3], Environment(), *arguments[4:])
    channel.close()
    assert _native.finish(20)


@pytest.mark.parametrize("number", [2**32 - 1, 2**32, 2**64 - 1])
@pytest.mark.parametrize("option", ["user", "group", "extra_groups"])
def test_numbers_that_are_no_users(spawner: Spawner, option: str, number: int) -> None:
    """2**32-1 means "no change" to the kernel, and greater numbers are cut off there: they are refused."""
    wrong = [number] if option == "extra_groups" else number
    with asyncio.Runner() as runner, pytest.raises((OverflowError, ValueError)):
        runner.run(spawner.spawn(command(["true"], **{option: wrong})))
