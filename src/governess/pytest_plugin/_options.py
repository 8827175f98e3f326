"""The combinations chosen for a test: by its mark, else on the command line, else in the ini file."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from governess.pytest_plugin._combination import Combination, UnknownName, policy_names, watcher_names

__all__ = ["add", "chosen_for", "close", "configure", "default", "is_marked", "is_on", "may_leave_children"]

MARK = "governess"
_MARK_OPTIONS = ("policies", "watchers", "may_leave_children")
_FIXTURES = {"event_loop_policy_matrix", "anyio_backend_matrix"}

_policies = pytest.StashKey[list[str]]()
_watchers = pytest.StashKey[list[str]]()
_made = pytest.StashKey[dict[tuple[str, str | None], Combination]]()


def add(parser: pytest.Parser) -> None:
    """Add the command line options and the ini options."""
    group = parser.getgroup("governess", "event loop policies and child watchers")
    for what, examples in (("policies", "default,uvloop"), ("watchers", "pidfd,threaded")):
        text = f"run the tests under each of these {what}: names such as {examples}, or all"
        group.addoption(f"--governess-{what}", metavar="NAMES", help=text)
        parser.addini(f"governess_{what}", f"the {what} to run the tests under; see --governess-{what}", type="args")


def configure(config: pytest.Config) -> None:
    """Read the options.

    Raises:
        pytest.UsageError: a name is unknown, or what it names cannot be used here.
    """
    config.addinivalue_line(
        "markers",
        f"{MARK}(policies=..., watchers=..., may_leave_children=False): run the test under each of these event loop "
        "policies, with each of these child watchers",
    )
    config.stash[_made] = {}
    config.stash[_policies] = _words(config.getoption("governess_policies") or config.getini("governess_policies"))
    config.stash[_watchers] = _words(config.getoption("governess_watchers") or config.getini("governess_watchers"))
    try:
        combinations = _combinations(config, {})
    except UnknownName as error:
        raise pytest.UsageError(str(error)) from None
    if obstacles := [each.obstacle for each in combinations if each.obstacle is not None]:
        raise pytest.UsageError(obstacles[0])


def close(config: pytest.Config) -> None:
    """Close the policies that the combinations have made."""
    for combination in config.stash.get(_made, {}).values():
        combination.close()


def chosen_for(item: pytest.Item) -> list[Combination] | None:
    """Return the combinations chosen for a test; None if none were chosen."""
    if not is_marked(item):
        return default(item.config) if _is_on_everywhere(item.config) else None
    try:
        return _combinations(item.config, _mark(item))
    except UnknownName as error:
        pytest.fail(f"{item.nodeid}: {error}", pytrace=False)


def default(config: pytest.Config) -> list[Combination]:
    """Return the combinations of a test without a mark."""
    return _combinations(config, {})


def is_marked(item: pytest.Item) -> bool:
    """Return whether a mark asks for combinations; a mark with `may_leave_children` alone does not."""
    marks = list(item.iter_markers(MARK))
    return any(mark.kwargs.keys() != {"may_leave_children"} for mark in marks)


def is_on(item: pytest.Item) -> bool:
    """Return whether the plugin is enabled for this test."""
    return (
        _is_on_everywhere(item.config)
        or item.get_closest_marker(MARK) is not None
        or not _FIXTURES.isdisjoint(getattr(item, "fixturenames", ()))
    )


def may_leave_children(item: pytest.Item) -> bool:
    """Return whether a mark allows the test to leave children running."""
    return bool(_mark(item).get("may_leave_children"))


def _is_on_everywhere(config: pytest.Config) -> bool:
    return bool(config.stash[_policies] or config.stash[_watchers])


def _mark(item: pytest.Item) -> dict[str, Any]:
    """Return the arguments of all marks of a test; a nearer mark takes precedence."""
    arguments: dict[str, Any] = {}
    for mark in item.iter_markers(MARK):
        if mark.args or not set(_MARK_OPTIONS).issuperset(mark.kwargs):
            pytest.fail(f"{item.nodeid}: mark.{MARK} takes {', '.join(_MARK_OPTIONS)}, each by its name", pytrace=False)
        arguments = {**mark.kwargs, **arguments}
    return arguments


def _combinations(config: pytest.Config, arguments: dict[str, Any]) -> list[Combination]:
    policies = _words(arguments.get("policies", ())) or config.stash[_policies] or ["default"]
    watchers: list[Any] = _words(arguments.get("watchers", ())) or config.stash[_watchers] or [None]
    if policies == ["all"]:
        policies = policy_names()
    if watchers == ["all"]:
        watchers = watcher_names()
    return [_combination(config, policy, watcher) for policy in policies for watcher in watchers]


def _combination(config: pytest.Config, policy: str, watcher: str | None) -> Combination:
    """Return the same combination for the same names, so that tests can share a loop of a wider scope."""
    made = config.stash[_made]
    if (policy, watcher) not in made:
        made[policy, watcher] = Combination(policy, watcher)
    return made[policy, watcher]


def _words(names: str | Iterable[str]) -> list[str]:
    """Return the names in one or more texts, separated by commas or spaces; each name once."""
    text = names if isinstance(names, str) else " ".join(names)
    return list(dict.fromkeys(text.replace(",", " ").split()))
