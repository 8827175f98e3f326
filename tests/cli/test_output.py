"""Which output is written when."""

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from governess.cli.run.output import Block, Delivery, Grouping, Spool, Writer

pytestmark = pytest.mark.windows


class Recorder(Writer):
    """Notes what it is given, and writes nothing."""

    def __init__(self) -> None:
        self.written: list[str] = []
        self.full = False

    def write(self, descriptor: int, data: bytes) -> bool:
        self.written.append(f"{descriptor}:{data.decode()}")
        return self.full

    def write_block(self, block: Block) -> None:
        self.written += [f"{descriptor}:{piece.decode()}" for descriptor, piece in block.take()]

    def end_block(self) -> None:
        pass

    @property
    def is_behind(self) -> bool:
        return self.full

    def take(self) -> list[str]:
        taken, self.written = self.written, []
        return taken


class Command:
    """A command whose output can be paused."""

    is_paused = False

    def pause_output(self) -> None:
        assert not self.is_paused
        self.is_paused = True

    def resume_output(self) -> None:
        assert self.is_paused
        self.is_paused = False


def fail(error: OSError) -> None:
    raise error


@pytest.fixture
def writer() -> Recorder:
    return Recorder()


def test_one_is_live(writer: Recorder) -> None:
    """The output of the command that writes first is written at once, that of others when it has ended, in blocks."""
    delivery = Delivery(writer, fail)
    a, b, c = (delivery.open(number) for number in (1, 2, 3))
    b.feed(1, b"b1")
    a.feed(1, b"a1")
    c.feed(1, b"c1")
    b.feed(2, b"b2")

    assert writer.take() == ["1:b1", "2:b2"]
    delivery.close(c)
    assert writer.take() == []
    a.feed(2, b"a2")
    delivery.close(b)
    assert writer.take() == ["1:c1", "1:a1", "2:a2"]
    a.feed(1, b"a3")
    assert writer.take() == ["1:a3"]


def test_order(writer: Recorder) -> None:
    """In the order of the numbers, the next one is live, and all others wait for it."""
    delivery = Delivery(writer, fail, keep_order=True)
    a, b, c = (delivery.open(number) for number in (1, 2, 3))
    b.feed(1, b"b1")
    c.feed(1, b"c1")
    delivery.close(c)
    assert writer.take() == []
    a.feed(1, b"a1")
    assert writer.take() == ["1:a1"]
    delivery.close(a)
    assert writer.take() == ["1:b1"]
    b.feed(1, b"b2")
    assert writer.take() == ["1:b2"]
    delivery.close(b)
    assert writer.take() == ["1:c1"]


def test_order_without_output(writer: Recorder) -> None:
    """One that writes nothing holds up nobody, before or after the others have ended."""
    delivery = Delivery(writer, fail, keep_order=True)
    a, b = delivery.open(1), delivery.open(2)
    b.feed(1, b"b")
    delivery.close(b)
    delivery.close(a)
    assert writer.take() == ["1:b"]
    c = delivery.open(3)
    delivery.close(c)
    d = delivery.open(4)
    d.feed(1, b"d")
    assert writer.take() == ["1:d"]


def test_runs_again_in_order(writer: Recorder) -> None:
    """One that is run again keeps its place; its second output continues the first one."""
    delivery = Delivery(writer, fail, keep_order=True)
    a, b = delivery.open(1), delivery.open(2)
    b.feed(1, b"b")
    a.feed(1, b"a1")
    delivery.close(a, runs_again=True)
    delivery.close(b)
    assert writer.take() == ["1:a1"]
    again = delivery.open(1)
    again.feed(1, b"a2")
    delivery.close(again)
    assert writer.take() == ["1:a2", "1:b"]


def test_whole(writer: Recorder) -> None:
    """With --group nothing is written before its command has ended, and then at once."""
    delivery = Delivery(writer, fail, grouping=Grouping.WHOLE)
    a, b = delivery.open(1), delivery.open(2)
    a.feed(1, b"a")
    b.feed(1, b"b")
    assert writer.take() == []
    delivery.close(b)
    assert writer.take() == ["1:b"]
    delivery.close(a)
    assert writer.take() == ["1:a"]


def test_lines(writer: Recorder) -> None:
    """With --line-buffer whole lines are written as they come, and the rest of a line at the end."""
    delivery = Delivery(writer, fail, grouping=Grouping.LINES)
    a, b = delivery.open(1), delivery.open(2)
    a.feed(1, b"a1\na")
    b.feed(1, b"b1\n")
    a.feed(1, b"2\na3")
    assert writer.take() == ["1:a1\n", "1:b1\n", "1:a2\n"]
    delivery.close(a)
    assert writer.take() == ["1:a3"]


def test_tags(writer: Recorder) -> None:
    """A tag stands before each line, however the lines come."""
    delivery = Delivery(writer, fail)
    a = delivery.open(1, tag=b"T")
    for piece in (b"x", b"y\nz\n", b"\n", b"w"):
        a.feed(1, piece)
    a.feed(2, b"e\n")

    assert "".join(writer.take()) == "1:T\tx1:y\nT\tz\n1:T\t\n1:T\tw2:T\te\n"


@pytest.mark.parametrize("keep_order", [False, True])
def test_limit(writer: Recorder, keep_order: bool) -> None:
    """Past the limit, commands wait whose turn it is not; they go on when their turn comes, or enough is written."""
    delivery = Delivery(writer, fail, limit=100, keep_order=keep_order)
    outputs = [delivery.open(number) for number in (1, 2, 3)]
    commands = [Command(), Command(), Command()]
    for output, command in zip(outputs, commands, strict=True):
        output.started(command)
    for output in outputs:
        output.feed(1, b"x" * 80)
    assert [command.is_paused for command in commands] == [False, False, True]
    outputs[1].feed(1, b"x")
    outputs[0].feed(1, b"x" * 1000)
    assert [command.is_paused for command in commands] == [False, True, True]
    delivery.close(outputs[0])
    assert [command.is_paused for command in commands] == [False, False, True]
    delivery.relieve()
    assert [command.is_paused for command in commands] == [False, False, True]
    delivery.close(outputs[1])
    delivery.relieve()
    assert [command.is_paused for command in commands] == [False, False, False]


def test_limit_without_a_turn(writer: Recorder) -> None:
    """With --group a command that goes past the limit is written while it runs: nobody else could make room."""
    delivery = Delivery(writer, fail, grouping=Grouping.WHOLE, limit=100)
    a = delivery.open(1)
    a.started(command := Command())
    a.feed(1, b"x" * 90)
    a.feed(1, b"y" * 90)

    assert "".join(writer.take()).replace("1:", "") == "x" * 90 + "y" * 90
    assert not command.is_paused


def test_limit_while_the_next_one_does_not_run(writer: Recorder) -> None:
    """Nobody waits for a command that is going to be run again: it may need the slot of one that waits."""
    delivery = Delivery(writer, fail, limit=100, keep_order=True)
    a, b = delivery.open(1), delivery.open(2)
    a.started(Command())
    b.started(command := Command())
    a.feed(1, b"a")
    b.feed(1, b"x" * 200)
    assert command.is_paused
    delivery.close(a, runs_again=True)
    assert not command.is_paused
    b.feed(1, b"x" * 200)
    assert not command.is_paused


def test_reader_that_is_slow(writer: Recorder) -> None:
    """A command that writes faster than our output takes it waits, and goes on when that is written."""
    delivery = Delivery(writer, fail)
    a = delivery.open(1)
    a.started(command := Command())
    writer.full = True
    a.feed(1, b"x")
    assert command.is_paused
    writer.full = False
    delivery.relieve()
    assert not command.is_paused


@pytest.mark.parametrize("room", [0, 10, 10_000_000])
def test_spool(room: int) -> None:
    """What is held comes back as it was, whether it was in memory, in the file, or both, and the file is used anew."""
    spool = Spool(room)
    for _ in range(3):
        blocks = [spool.block() for _ in range(4)]
        for size in (1, 5000, 3, 2_500_000):
            for number, block in enumerate(blocks):
                block.add(1, bytes([number]) * size)
                block.add(2, bytes([number + 100]) * 3)
        assert spool.held == 4 * (2_505_004 + 12)
        for number, block in enumerate(blocks):
            streams = {1: b"", 2: b""}
            for descriptor, piece in block.take():
                streams[descriptor] += piece
            assert streams == {1: bytes([number]) * 2_505_004, 2: bytes([number + 100]) * 12}
        assert spool.held == 0
    spool.close()
    assert spool._end < 5 * 2_600_000 + 100 * 4096


def test_order_of_both_streams() -> None:
    """Pieces for both outputs come back in the order in which they were written."""
    block = Spool().block()
    for descriptor, data in ((1, b"a"), (1, b"b"), (2, b"c"), (1, b"d")):
        block.add(descriptor, data)

    assert list(block.take()) == [(1, b"ab"), (2, b"c"), (1, b"d")]


@contextlib.contextmanager
def streams(folder: Path) -> Iterator[None]:
    """Have standard output and standard error in files."""
    before = [os.dup(1), os.dup(2)]
    for descriptor, name in ((1, "out"), (2, "err")):
        file = os.open(folder / name, os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0))
        os.dup2(file, descriptor)
        os.close(file)
    try:
        yield
    finally:
        for descriptor, saved in zip((1, 2), before, strict=True):
            os.dup2(saved, descriptor)
            os.close(saved)


def test_writer(tmp_path: Path) -> None:
    """All is written in order, and it is told when little waits again after much."""
    relieved = threading.Event()
    block = Spool().block()
    block.add(1, b"block ")
    block.add(2, b"error")
    with streams(tmp_path):
        writer = Writer(fail, relieved.set)
        writer.write_block(block)
        much = [writer.write(1, b"x" * 2**18) for _ in range(8)]
        writer.say("own line\n")
        writer.mark().wait(10)
        writer.close()

    assert any(much)
    assert relieved.wait(10)
    assert not writer.is_behind
    assert (tmp_path / "out").read_bytes() == b"block " + b"x" * 2**21
    assert (tmp_path / "err").read_bytes() == b"error\nown line\n"


def test_relief_after_blocks(tmp_path: Path) -> None:
    """A block that is written while much else waits takes nobody's relief away."""
    relieved = threading.Semaphore(0)
    block = Spool().block()
    block.add(1, b"block")
    with streams(tmp_path):
        writer = Writer(fail, relieved.release)
        writer.write_block(block)
        while not writer.write(1, b"x" * 2**18):
            pass
        writer.close()

    assert relieved.acquire(timeout=10)
    assert relieved.acquire(timeout=10)


def test_output_in_files(writer: Recorder, tmp_path: Path) -> None:
    """What a command has written to files comes in its turn, with its tag, and nothing of files that do not exist."""
    (tmp_path / "out").write_bytes(b"a\nb\n")
    delivery = Delivery(writer, fail, keep_order=True)
    first, second = delivery.open(1, tag=b"1"), delivery.open(2, tag=b"2")
    second.feed(1, b"head\n")
    second.attach([tmp_path / "out", tmp_path / "err"])
    delivery.close(second)
    assert writer.take() == []
    first.attach([tmp_path / "err", tmp_path / "out"])
    delivery.close(first)

    assert writer.take() == ["2:1\ta\n1\tb\n", "1:2\thead\n", "1:2\ta\n2\tb\n"]
