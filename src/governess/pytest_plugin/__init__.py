"""A pytest plugin: it runs tests under chosen policies and watchers, and cleans up after each test.

The plugin does nothing until a test uses it: through ``--governess-policies`` or ``--governess-watchers``, the ini
options of these names, ``@pytest.mark.governess``, or one of the two fixtures.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest

from governess._current_policy import new_event_loop
from governess.abc import AbstractEventLoopPolicy
from governess.pytest_plugin import _options as options
from governess.pytest_plugin._cleanup import (
    Child,
    ChildrenOfFixtures,
    current_policy,
    living_children,
    report_new,
    restored,
)
from governess.pytest_plugin._combination import Combination

if TYPE_CHECKING:
    from typing import Protocol

    class Param(Protocol):
        param: Combination


__all__ = ["anyio_backend_matrix", "event_loop_policy_matrix"]

# Each of these fixtures gets a Combination as its parameter.
POLICY_FIXTURE = "event_loop_policy_matrix"
ANYIO_FIXTURE = "anyio_backend_matrix"

# The hook by which pytest-asyncio, since 1.4, asks for the loop factories of a test.
LOOP_FACTORIES_HOOK = "pytest_asyncio_loop_factories"

LoopFactories = Mapping[str, Callable[[], asyncio.AbstractEventLoop]]

_of_fixtures = pytest.StashKey[ChildrenOfFixtures]()
_before = pytest.StashKey[set[Child]]()


@pytest.fixture
def event_loop_policy_matrix(request: Param) -> Iterator[AbstractEventLoopPolicy]:
    """Each chosen policy in turn. The policy is new for each test, is the current policy, and is closed at the end."""
    with request.param.new_policy() as policy, current_policy(policy):
        yield policy


@pytest.fixture(scope="module")
def anyio_backend_matrix(request: Param) -> tuple[str, dict[str, Any]]:
    """Each chosen policy in turn, as a value for anyio's fixture ``anyio_backend``."""
    return "asyncio", {"loop_factory": request.param}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    options.add(parser)


@pytest.hookimpl(tryfirst=True)  # a wrong option is told before other plugins warn of what they find
def pytest_configure(config: pytest.Config) -> None:
    """Read the options; an unknown name is a usage error."""
    options.configure(config)
    config.stash[_of_fixtures] = ChildrenOfFixtures()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Close the policies that were used by more than one test."""
    options.close(config)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> Iterator[None]:
    """Parametrize a test with the combinations chosen for it."""
    chosen = options.chosen_for(metafunc.definition)
    if chosen is not None and options.is_marked(metafunc.definition) and _is_plain(metafunc):
        metafunc.fixturenames.append(POLICY_FIXTURE)
    for fixture in (POLICY_FIXTURE, ANYIO_FIXTURE):
        if fixture in metafunc.fixturenames:
            _parametrize(metafunc, fixture, chosen or options.default(metafunc.config))
    if chosen is not None and _runs_in_old_pytest_asyncio(metafunc):
        metafunc.definition.warn(pytest.PytestWarning(_TOO_OLD))
    with _loop_factories_offered(metafunc.config, _loop_factories(metafunc, chosen)):
        return (yield)


def _loop_factories(metafunc: pytest.Metafunc, chosen: list[Combination] | None) -> LoopFactories | None:
    if POLICY_FIXTURE in metafunc.fixturenames:
        return {"policy": new_event_loop}  # of the policy that the fixture makes current
    return None if chosen is None else {each.id: each for each in chosen}


_TOO_OLD = (
    "the chosen policies and watchers do not hold for this test: pytest-asyncio before 1.4 makes the loops itself; "
    "pytest-asyncio 1.4 and anyio's plugin can be told"
)


def _runs_in_old_pytest_asyncio(metafunc: pytest.Metafunc) -> bool:
    """Return whether pytest-asyncio runs the test, and cannot be told in which loop."""
    config = metafunc.config
    if not config.pluginmanager.hasplugin("asyncio") or hasattr(config.hook, LOOP_FACTORIES_HOOK):
        return False
    is_asked_for = metafunc.definition.get_closest_marker("asyncio") is not None
    return inspect.iscoroutinefunction(metafunc.function) and (is_asked_for or config.getini("asyncio_mode") == "auto")


def _is_plain(metafunc: pytest.Metafunc) -> bool:
    """Return whether the test is synchronous and does not request one of the fixtures itself."""
    function = metafunc.function
    is_async = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
    return not is_async and not {POLICY_FIXTURE, ANYIO_FIXTURE} & set(metafunc.fixturenames)


def _parametrize(metafunc: pytest.Metafunc, fixture: str, chosen: list[Combination]) -> None:
    params = [pytest.param(each, id=each.id, marks=each.marks()) for each in chosen]
    metafunc.parametrize(fixture, params, indirect=True, scope="module" if fixture == ANYIO_FIXTURE else "function")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Keep the policy of a test's loop current from the set-up of its first fixture to the end of its last one."""
    if (combination := _combination_of(item)) is None or POLICY_FIXTURE in getattr(item, "fixturenames", ()):
        return (yield)
    with _loop_factories_offered(item.config, {combination.id: combination}), combination.kept_current():
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    """Record the children that run before the test."""
    of_fixtures = item.config.stash[_of_fixtures]
    of_fixtures.is_watching = options.is_on(item)
    if of_fixtures.is_watching:
        item.stash[_before] = living_children().keys() - of_fixtures.children()
    return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Restore the global state that the test changes."""
    if not options.is_on(item):
        return (yield)
    with restored():
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """Fail the test if it leaves a child running, unless the child belongs to a fixture still in use."""
    yield
    if _before in item.stash and not options.may_leave_children(item):
        report_new(item.stash[_before] | item.config.stash[_of_fixtures].children())


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest) -> Iterator[Any]:
    """Record which children belong to a fixture of a wider scope than one test."""
    if fixturedef.scope == "function":
        return (yield)
    with request.config.stash[_of_fixtures].started_in(fixturedef):
        return (yield)


def pytest_fixture_post_finalizer(fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest) -> None:
    """Forget the children of a fixture that has ended."""
    request.config.stash[_of_fixtures].ended(fixturedef)


def _combination_of(item: pytest.Item) -> Combination | None:
    callspec = getattr(item, "callspec", None)
    values = () if callspec is None else callspec.params.values()
    return next((value for value in values if isinstance(value, Combination)), None)


@contextlib.contextmanager
def _loop_factories_offered(config: pytest.Config, factories: LoopFactories | None) -> Iterator[None]:
    """Offer these factories to pytest-asyncio inside the block; None offers nothing.

    A plugin that implements the hook has to answer for every test. So the hook is implemented only while pytest-asyncio
    asks about a test that has factories.
    """
    if factories is None or not hasattr(config.hook, LOOP_FACTORIES_HOOK):
        yield
        return
    answer = _Answer(factories)
    config.pluginmanager.register(answer)
    try:
        yield
    finally:
        config.pluginmanager.unregister(answer)


class _Answer:
    def __init__(self, factories: LoopFactories) -> None:
        self._factories = factories

    @pytest.hookimpl(trylast=True)  # a conftest.py comes first
    def pytest_asyncio_loop_factories(self) -> LoopFactories:
        return self._factories
