"""Each pain's relief, over every installed loop."""

from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Any

import pytest

from pains.contestants import run_in_loop

Relief = Callable[[Callable[..., Any]], str]


@pytest.fixture
def relief(loop_factory: Callable[[], AbstractEventLoop]) -> Relief:
    """Run a scenario in a plain loop, or with its factory: it raises where the pain is still felt."""
    return lambda scenario: run_in_loop(scenario, loop_factory)
