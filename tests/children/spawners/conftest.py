"""Every spawner, the native one in each of its ways."""

from collections.abc import Iterator

import pytest

from governess.children._spawn import Spawner
from spawning import WAYS, spawner_by

#: The first way is the one of nearly every Linux; the others are tried among the slow tests.
_NATIVE = [WAYS[0], *(pytest.param(way, marks=pytest.mark.slow) for way in WAYS[1:])]


@pytest.fixture(params=[*_NATIVE, "popen"])
def spawner(request: pytest.FixtureRequest) -> Iterator[Spawner]:
    with spawner_by(request.param) as spawner:
        yield spawner


@pytest.fixture(params=_NATIVE)
def native(request: pytest.FixtureRequest) -> Iterator[Spawner]:
    with spawner_by(request.param) as spawner:
        yield spawner
