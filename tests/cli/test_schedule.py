"""The order in which output is written, without any process."""

import pytest

from governess.cli.run.schedule import InOrder

pytestmark = pytest.mark.windows


def test_order() -> None:
    """Values come out by their numbers, each as soon as those before it are there."""
    order: InOrder[str] = InOrder()

    assert list(order.add(3, "c")) == []
    assert list(order.add(1, "a")) == ["a"]
    assert list(order.add(2, "b")) == ["b", "c"]
    assert order.is_next(4)
