"""A pool runs so many children at a time, and no more."""

import asyncio
import signal
from collections.abc import Callable

import pytest

from governess import observe
from governess.children import Child, Exit, children
from governess.subprocess import PIPE, ProcessPool


class Count:
    """How many children live, and how many did at the most."""

    def __init__(self) -> None:
        self.now = self.most = 0

    def born(self, _: Child) -> None:
        self.now += 1
        self.most = max(self.most, self.now)

    def dead(self, _: Child, __: Exit) -> None:
        self.now -= 1


def test_at_most_so_many(run: Callable) -> None:
    """However many are to be started, no more than `max_children` live at a time, and each exit is told."""
    count = Count()

    async def main() -> None:
        async with ProcessPool(3) as pool:
            codes = [number % 7 for number in range(30)]
            starts = [asyncio.ensure_future(pool.start("sh", "-c", f"exit {code}")) for code in codes]
            await asyncio.sleep(0)
            exits = [exit async for exit in pool.as_exited()]
            assert sorted(exits) == sorted(codes)
            processes = await asyncio.gather(*starts)
            assert {exit.process for exit in exits} == set(processes)
            assert all(exit == exit.process.exit and exit.rusage is not None for exit in exits)

    with observe(on_spawn=count.born, on_exit=count.dead):
        run(main)
    assert 1 <= count.most <= 3


def test_back_pressure_and_fairness(run: Callable) -> None:
    """Who finds no place waits, and places are given in the order of asking, also past one that gave up."""

    async def main() -> None:
        async with ProcessPool(max_children=1) as pool:
            first = await pool.start("cat", stdin=PIPE)
            order: list[int] = []

            async def start(number: int) -> None:
                await pool.start("true")
                order.append(number)

            tasks = [asyncio.ensure_future(start(number)) for number in range(4)]
            await asyncio.sleep(0.02)
            assert order == []
            assert repr(pool) == "<ProcessPool 1 of 1 run, 4 wait>"
            assert pool.running == (first,)
            tasks[1].cancel()
            await asyncio.sleep(0)
            first.stdin.close()
            await pool.join()
            assert order == [0, 2, 3]

    run(main)


def test_cancelled_with_the_place_in_hand(run: Callable) -> None:
    """Who is cancelled in the moment when a place comes passes it on."""

    async def main() -> None:
        async with ProcessPool(1) as pool:
            first = await pool.start("cat", stdin=PIPE)
            waiting = asyncio.ensure_future(pool.start("true"))
            other = asyncio.ensure_future(pool.start("true"))
            await asyncio.sleep(0)
            first.stdin.close()
            exits = pool.as_exited()
            assert (await anext(exits)).process is first  # and the place is given in this very turn
            waiting.cancel()
            assert (await anext(exits)).process is await other
            with pytest.raises(asyncio.CancelledError):
                await waiting
            await exits.aclose()

    run(main)


def test_a_failed_start_gives_its_place_back(run: Callable) -> None:
    """A program that is not there takes no place."""

    async def main() -> None:
        async with ProcessPool(1) as pool:
            for _ in range(3):
                with pytest.raises(FileNotFoundError):
                    await pool.start("/no/such/program")
            await pool.start("true")
            assert [exit async for exit in pool.as_exited()] == [0]

    run(main)


def test_more_while_it_goes_on(run: Callable) -> None:
    """Children that are started while the exits are read are told of, too."""

    async def main() -> None:
        async with ProcessPool(2) as pool:
            await pool.start("sh", "-c", "exit 3")
            seen = []
            async for exit in pool.as_exited():
                seen.append(int(exit))
                if exit:
                    await pool.start("sh", "-c", f"exit {exit - 1}")
            assert seen == [3, 2, 1, 0]

    run(main)


def test_nothing_to_tell(run: Callable) -> None:
    """An idle pool has no exits, and does not wait for any."""

    async def main() -> None:
        pool = ProcessPool(2)
        assert [exit async for exit in pool.as_exited()] == []
        await pool.join()
        await pool.close()

    run(main)


def test_close(run: Callable) -> None:
    """close() ends those that run, all at once, and tells those that wait; their exits are still told."""

    async def main() -> None:
        pool = ProcessPool(2)
        for _ in range(2):
            await pool.start("sleep", "60")
        waiting = asyncio.ensure_future(pool.start("true"))
        await asyncio.sleep(0)
        await pool.close()
        with pytest.raises(RuntimeError, match="pool was closed"):
            await waiting
        with pytest.raises(RuntimeError, match="pool is closed"):
            await pool.start("true")
        assert [exit async for exit in pool.as_exited()] == [-signal.SIGTERM] * 2
        await pool.close()
        assert children() == []

    run(main)


def test_closed_while_one_is_being_started(run: Callable) -> None:
    """A child whose start was under way when the pool was closed is ended."""

    async def main() -> None:
        pool = ProcessPool(1)
        starting = asyncio.ensure_future(pool.start("sleep", "60"))
        await asyncio.sleep(0)
        await pool.close()
        with pytest.raises(RuntimeError, match="pool was closed"):
            await starting

    run(main)


def test_cancelled_close(run: Callable) -> None:
    """A cancelled close() cuts the grace short: what ignores TERM is killed at once."""

    async def main() -> None:
        pool = ProcessPool(1)
        deaf = "trap '' TERM; echo; while :; do sleep 1; done"
        process = await pool.start("sh", "-c", deaf, stdout=PIPE, grace=60)
        await process.stdout.readline()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(pool.close(), 0.1)
        assert process.exit == -signal.SIGKILL

    run(main)


@pytest.mark.parametrize("places", [0, -1, 2.5, "3", None])
def test_no_places(places: object) -> None:
    """A pool has places, and a whole number of them."""
    with pytest.raises(ValueError, match="one child at least"):
        ProcessPool(places)
