"""Every spawner, the native one in each of its ways."""

from collections.abc import Iterator

import pytest

from governess.children.spawn import Spawner
from spawning import WAYS, spawner_by


@pytest.fixture(params=[*WAYS, "popen"])
def spawner(request: pytest.FixtureRequest) -> Iterator[Spawner]:
    with spawner_by(request.param) as spawner:
        yield spawner


@pytest.fixture(params=WAYS)
def native(request: pytest.FixtureRequest) -> Iterator[Spawner]:
    with spawner_by(request.param) as spawner:
        yield spawner
