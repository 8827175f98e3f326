"""Which combinations were chosen: by a test's mark, else on the command line, else in ini."""

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
    """Add the options and their ini counterparts."""
    group = parser.getgroup("governess", "event loop policies and child watchers")
    for what, examples in (("policies", "default,uvloop"), ("watchers", "pidfd,threaded")):
        text = f"run the tests under each of these {what}: names such as {examples}, or all"
        group.addoption(f"--governess-{what}", metavar="NAMES", help=text)
        parser.addini(f"governess_{what}", f"the {what} to run the tests under; see --governess-{what}", type="args")


def configure(config: pytest.Config) -> None:
    """Read the options.

    Raises:
        pytest.UsageError: a name means nothing, or what it means cannot be had here.
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
    """Close what the combinations have opened."""
    for combination in config.stash.get(_made, {}).values():
        combination.close()


def chosen_for(item: pytest.Item) -> list[Combination] | None:
    """Return the combinations chosen for a test; None if nobody has chosen any."""
    if not is_marked(item):
        return default(item.config) if _is_on_everywhere(item.config) else None
    try:
        return _combinations(item.config, _mark(item))
    except UnknownName as error:
        pytest.fail(f"{item.nodeid}: {error}", pytrace=False)


def default(config: pytest.Config) -> list[Combination]:
    """Return the combinations of a test that chooses none itself."""
    return _combinations(config, {})


def is_marked(item: pytest.Item) -> bool:
    """Return whether a mark asks for combinations: any does, but one that only lets children live on."""
    marks = list(item.iter_markers(MARK))
    return any(mark.kwargs.keys() != {"may_leave_children"} for mark in marks)


def is_on(item: pytest.Item) -> bool:
    """Return whether the plugin was asked for, for this test."""
    return (
        _is_on_everywhere(item.config)
        or item.get_closest_marker(MARK) is not None
        or not _FIXTURES.isdisjoint(getattr(item, "fixturenames", ()))
    )


def may_leave_children(item: pytest.Item) -> bool:
    """Return whether a mark lets the children of a test live on."""
    return bool(_mark(item).get("may_leave_children"))


def _is_on_everywhere(config: pytest.Config) -> bool:
    return bool(config.stash[_policies] or config.stash[_watchers])


def _mark(item: pytest.Item) -> dict[str, Any]:
    """What the marks of a test say together, the nearest one first of all."""
    said: dict[str, Any] = {}
    for mark in item.iter_markers(MARK):
        if mark.args or not set(_MARK_OPTIONS).issuperset(mark.kwargs):
            pytest.fail(f"{item.nodeid}: mark.{MARK} takes {', '.join(_MARK_OPTIONS)}, each by its name", pytrace=False)
        said = {**mark.kwargs, **said}
    return said


def _combinations(config: pytest.Config, said: dict[str, Any]) -> list[Combination]:
    policies = _words(said.get("policies", ())) or config.stash[_policies] or ["default"]
    watchers: list[Any] = _words(said.get("watchers", ())) or config.stash[_watchers] or [None]
    if policies == ["all"]:
        policies = policy_names()
    if watchers == ["all"]:
        watchers = watcher_names()
    return [_combination(config, policy, watcher) for policy in policies for watcher in watchers]


def _combination(config: pytest.Config, policy: str, watcher: str | None) -> Combination:
    """The same one for the same names, so that a loop of a wider scope can serve all its tests."""
    made = config.stash[_made]
    if (policy, watcher) not in made:
        made[policy, watcher] = Combination(policy, watcher)
    return made[policy, watcher]


def _words(names: str | Iterable[str]) -> list[str]:
    """The names in a text, or in several, parted by commas or blanks; each once."""
    text = names if isinstance(names, str) else " ".join(names)
    return list(dict.fromkeys(text.replace(",", " ").split()))
