"""A pool runs a limited number of children at a time."""

import asyncio
import signal
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from governess import observe
from governess.children import Child, Exit, children
from governess.subprocess import PIPE, Completed, ProcessError, ProcessPool, ProcessTimeout, cmd


class Count:
    """How many children live, and how many did at the most."""

    def __init__(self) -> None:
        self.now = self.most = 0

    def born(self, _: Child) -> None:
        self.now += 1
        self.most = max(self.most, self.now)

    def dead(self, _: Child, __: Exit) -> None:
        self.now -= 1


class TestRun:
    def test_at_most_max_children(self, run: Callable) -> None:
        """However many are to be run, no more than `max_children` live at a time, and each caller gets its result."""
        count = Count()

        async def main() -> None:
            async with ProcessPool(3) as pool:
                codes = [number % 7 for number in range(30)]
                runs = [pool.run("sh", "-c", f"echo {code}; exit {code}", encoding="ascii") for code in codes]
                done = await asyncio.gather(*runs)
            assert [completed.exit for completed in done] == codes
            assert [int(completed.stdout) for completed in done] == codes

        with observe(on_spawn=count.born, on_exit=count.dead):
            run(main)
        assert 1 <= count.most <= 3

    def test_fairness(self, run: Callable) -> None:
        """Places are given in the order of asking, also past a caller that has gone."""

        async def main() -> None:
            async with ProcessPool(max_children=1) as pool:
                order: list[int] = []

                async def run_one(number: int) -> None:
                    await pool.run("true")
                    order.append(number)

                async with pool.start("cat", stdin=PIPE) as first:
                    tasks = [asyncio.ensure_future(run_one(number)) for number in range(4)]
                    await asyncio.sleep(0.02)
                    assert order == []
                    assert repr(pool) == "<ProcessPool 1 of 1 run, 4 wait>"
                    tasks[1].cancel()
                    first.stdin.close()
                    await first.wait()
                await asyncio.wait(tasks)
                assert order == [0, 2, 3]

        run(main)

    def test_the_block_waits(self, run: Callable) -> None:
        """At its end the block waits for all that runs, and for all that waits for a place."""

        async def main() -> None:
            async with ProcessPool(1) as pool:
                tasks = [asyncio.ensure_future(pool.run("sh", "-c", "sleep 0.05; exit 3")) for _ in range(3)]
                await asyncio.sleep(0)
            assert [task.result().exit for task in tasks] == [3, 3, 3]

        run(main)

    def test_an_error_ends_the_rest(self, run: Callable) -> None:
        """An error in the block ends what runs, and what waits gets an error."""

        async def main() -> None:
            pool, tasks = ProcessPool(2), []

            async def fail() -> None:
                async with pool:
                    tasks.extend(asyncio.ensure_future(pool.run("sleep", "60")) for _ in range(3))
                    while len(children()) < 2:
                        await asyncio.sleep(0.01)
                    raise ZeroDivisionError

            with pytest.raises(ZeroDivisionError):
                await fail()
            errors = [str(task.exception()) for task in tasks]
            assert errors[0] == errors[1] == "the pool was closed while the program ran, which was ended"
            assert errors[2] == "the pool was closed"
            assert children() == []
            with pytest.raises(RuntimeError, match="pool is closed"):
                await pool.run("true")

        run(main)

    def test_a_cancelled_close_is_quick(self, run: Callable) -> None:
        """A cancelled close() cuts the grace short: what ignores TERM is killed at once."""
        deaf = "trap '' TERM; echo; while :; do sleep 1; done"

        async def main() -> None:
            began = time.monotonic()
            pool = ProcessPool(2)
            is_deaf = asyncio.Event()
            run_one = pool.run("sh", "-c", deaf, grace=60, on_line=lambda _: is_deaf.set())
            task = asyncio.ensure_future(run_one)
            async with pool.start("sh", "-c", deaf, stdout=PIPE, grace=60) as process:
                await process.stdout.readline()
                await is_deaf.wait()
                closing = asyncio.ensure_future(pool.close())
                await asyncio.sleep(0.1)
                closing.cancel()
                await process.wait()
                assert process.exit == -signal.SIGKILL
            with pytest.raises(asyncio.CancelledError):
                await closing
            await asyncio.wait([task])
            assert time.monotonic() - began < 30

        run(main)

    def test_timeout(self, run: Callable) -> None:
        """The pool's timeout holds for each program, without its wait for a place; a call can have another one."""

        async def main() -> None:
            async with ProcessPool(1, timeout=1) as pool:
                waiting = [asyncio.ensure_future(pool.run("sleep", "0.4")) for _ in range(3)]
                assert [(await task).exit for task in waiting] == [0, 0, 0]
                with pytest.raises(ProcessTimeout):
                    await pool.run("sleep", "60")
                assert (await pool.run("sleep", "1.2", timeout=None)).exit == 0

        run(main)

    def test_a_failed_start_gives_its_place_back(self, run: Callable) -> None:
        """A program that does not exist takes no place."""

        async def main() -> None:
            async with ProcessPool(1) as pool:
                for _ in range(3):
                    with pytest.raises(FileNotFoundError):
                        await pool.run("/no/such/program")
                    with pytest.raises(FileNotFoundError):
                        async with pool.start("/no/such/program"):
                            pass
                assert (await pool.run("true")).exit == 0

        run(main)


class TestMap:
    @pytest.mark.parametrize("ordered", [True, False])
    def test_each_with_its_result(self, run: Callable, ordered: bool) -> None:
        """Each command comes with its result, in the order of the commands, or as each has ended."""

        async def main() -> list[str]:
            pauses = ["0.4", "0", "0.1"]
            async with ProcessPool(3) as pool:
                found = []
                commands = [["sh", "-c", f"sleep {pause}; echo {pause}"] for pause in pauses]
                async for command, done in pool.map(commands, ordered=ordered, encoding="ascii"):
                    assert command[2] == f"sleep {done.stdout.strip()}; echo {done.stdout.strip()}"
                    found.append(done.stdout.strip())
                return found

        assert run(main) == (["0.4", "0", "0.1"] if ordered else ["0", "0.1", "0.4"])

    @pytest.mark.parametrize("ordered", [True, False])
    def test_two_readers(self, run: Callable, ordered: bool) -> None:
        """Two tasks that take from one iterator get each result once, and both see its end."""

        async def main() -> list[bytes]:
            found: list[bytes] = []
            async with ProcessPool(4) as pool:
                results = pool.map((["echo", str(number)] for number in range(20)), ordered=ordered)

                async def take_all() -> None:
                    async for _, done in results:
                        found.append(done.stdout)

                await asyncio.wait_for(asyncio.gather(take_all(), take_all()), 30)
            return found

        assert sorted(run(main)) == sorted(b"%d\n" % number for number in range(20))

    def test_commands(self, run: Callable) -> None:
        """What `cmd` returns keeps its options."""

        async def main() -> None:
            async with ProcessPool(2) as pool:
                here = cmd("pwd", cwd="/")
                async for command, done in pool.map([here]):
                    assert (command, done.stdout) == (here, b"/\n")

        run(main)

    def test_no_command(self, run: Callable) -> None:
        """A line in place of a list of words is refused, not taken apart; a command can be the key of a dictionary."""

        async def main() -> None:
            async with ProcessPool(1) as pool:
                lines: Any = ["ls -l"]
                with pytest.raises(TypeError, match="not 'ls -l'"):
                    await anext(pool.map(lines))

        run(main)
        assert {cmd("true", cwd="/"): 1}[cmd("true", cwd="/")] == 1

    def test_takes_what_it_needs(self, run: Callable) -> None:
        """It takes from a generator only what is at work, and a few more."""
        taken = 0

        def commands() -> Iterator[list[str]]:
            nonlocal taken
            for _ in range(1000):
                taken += 1
                yield ["true"]

        async def main() -> None:
            async with ProcessPool(2) as pool:
                results = pool.map(commands())
                for _ in range(3):
                    await anext(results)
                assert taken <= 3 + 2 * 2

        run(main)

    def test_left_and_entered_again(self, run: Callable) -> None:
        """A timeout around the next result loses nothing; a loop that was left can be entered again."""

        async def main() -> None:
            async with ProcessPool(1) as pool:
                results = pool.map([["sh", "-c", f"sleep 0.2; exit {code}"] for code in range(3)])
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(anext(results), 0.05)
                seen = []
                async for _, done in results:
                    seen.append(done.exit)
                    break
                seen += [done.exit async for _, done in results]
                assert seen == [0, 1, 2]

        run(main)

    def test_errors(self, run: Callable) -> None:
        """An error is raised in its turn, and the iterator goes on; or it is given as the result."""
        commands: Any = [["true"], ["/no/such/program"], ["false"], ["true"]]

        async def main() -> None:
            async with ProcessPool(2) as pool:
                results = pool.map(commands, check=True)
                assert (await anext(results)).result.exit == 0
                with pytest.raises(FileNotFoundError):
                    await anext(results)
                with pytest.raises(ProcessError):
                    await anext(results)
                assert [done.exit async for _, done in results] == [0]
                kinds = [type(done) async for _, done in pool.map(commands, check=True, return_exceptions=True)]
                assert kinds == [Completed, FileNotFoundError, ProcessError, Completed]

        run(main)


class TestStart:
    def test_block(self, run: Callable) -> None:
        """A program has its place for the length of the block, and its output can be read there."""

        async def main() -> None:
            async with ProcessPool(1) as pool:
                for number in range(3):
                    async with pool.start("sh", "-c", f"echo {number}; sleep 60", stdout=PIPE) as process:
                        assert await process.stdout.readline() == b"%d\n" % number
                assert process.exit == -signal.SIGTERM

        run(main)

    def test_closed_while_it_waits(self, run: Callable) -> None:
        """A start that waits for a place gets an error when the pool is closed."""

        async def main() -> None:
            pool = ProcessPool(1)
            has_started = asyncio.Event()

            async def hold() -> None:
                async with pool.start("sleep", "60") as process:
                    has_started.set()
                    await process.wait()

            tasks = [asyncio.ensure_future(hold()) for _ in range(2)]
            await has_started.wait()
            await pool.close()
            await asyncio.wait(tasks)
            assert tasks[0].exception() is None
            assert str(tasks[1].exception()) == "the pool was closed"
            assert children() == []
            await pool.close()

        run(main)


@pytest.mark.parametrize("places", [0, -1, 2.5, "3"])
def test_no_places(places: object) -> None:
    """A pool has places, and a whole number of them."""
    with pytest.raises(ValueError, match="one child at least"):
        ProcessPool(places)


def test_one_for_each_processor() -> None:
    """By default a pool has a place for each processor."""
    assert ProcessPool().max_children >= 1
    assert sys.maxsize > ProcessPool().max_children
