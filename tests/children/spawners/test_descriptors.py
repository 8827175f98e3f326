"""What hundreds of children that are started at the same time have of each other's descriptors: nothing."""

import asyncio
import os
import resource
from collections.abc import Callable

import pytest

from governess.children._spawn import Spawner
from governess.children._spawn.command import Spawned
from spawning import command, end

CHILDREN = 500
WISHES = (
    {"stdin": -1, "stdout": -1, "stderr": -1},
    {"stdout": -1},
    {"stdin": -1, "stdout": -1},
    {"stdout": -1, "stderr": -2},
)


@pytest.fixture
def many_descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.slow
@pytest.mark.parametrize("close_fds", [True, False])
def test_nothing_leaks_into_a_neighbour(
    spawner: Spawner, loop_factory: Callable, close_fds: bool, many_descriptors: None
) -> None:
    """Of 500 children at once, each has 0, 1 and 2 and nothing else, with close_fds=False too."""

    async def one(number: int) -> Spawned:
        options = {"close_fds": close_fds, **WISHES[number % len(WISHES)]}
        return (await spawner.spawn(command(["ls", "-l", "/proc/self/fd"], **options))).claim()

    async def main() -> list[Spawned]:
        return await asyncio.gather(*(one(number) for number in range(CHILDREN)))

    own = {number for number in map(int, os.listdir("/proc/self/fd")) if is_inheritable(number)}
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        spawned = runner.run(main())
    listings = [end(born).output for born in spawned]
    assert len(listings) == CHILDREN
    allowed = {0, 1, 2} if close_fds else {0, 1, 2} | own
    assert [listing for listing in listings if not {0, 1, 2} <= numbers(listing) <= allowed] == []


def numbers(listing: bytes) -> set[int]:
    """The descriptors in the output of ls -l, but for the one of the listing itself."""
    links = [line.split(" -> ") for line in listing.decode().splitlines()[1:]]
    return {int(link.split()[-1]) for link, target in links if not target.endswith("/fd")}


def is_inheritable(number: int) -> bool:
    try:
        return os.get_inheritable(number)
    except OSError:
        return False
