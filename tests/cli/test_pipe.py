"""Input in blocks of whole records."""

import itertools
import random
from pathlib import Path

import pytest

from governess.cli.run.inputs import Piping, SourceError

pytestmark = pytest.mark.windows

NUMBERS = "".join(f"{number}\n" for number in range(1, 11)).encode()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "input"


def blocks(path: Path, data: bytes, piping: Piping) -> list[bytes]:
    path.write_bytes(data)
    return list(piping.blocks(str(path)))


@pytest.mark.parametrize(
    ("piping", "expected"),
    [
        (Piping(), [NUMBERS]),
        (Piping(block=5), [b"1\n2\n", b"3\n4\n", b"5\n6\n", b"7\n8\n", b"9\n10\n"]),
        (Piping(block=1), [f"{number}\n".encode() for number in range(1, 11)]),
        (Piping(records=4), [b"1\n2\n3\n4\n", b"5\n6\n7\n8\n", b"9\n10\n"]),
        (Piping(records=2, lines=3), [b"1\n2\n3\n4\n5\n6\n", b"7\n8\n9\n10\n"]),
        (Piping(lines=3), [b"1\n2\n3\n4\n5\n6\n7\n8\n9\n", b"10\n"]),
        (Piping(lines=3, block=8), [b"1\n2\n3\n", b"4\n5\n6\n", b"7\n8\n9\n", b"10\n"]),
        (Piping(header=True, records=5), [b"1\n2\n3\n4\n5\n6\n", b"1\n7\n8\n9\n10\n"]),
        (Piping(end=b"", block=8), [b"1\n2\n3\n4\n", b"5\n6\n7\n8\n", b"9\n10\n"]),
        (Piping(records=3, end=b"\n", removes_separators=True), [b"123", b"456", b"789", b"10"]),
    ],
)
def test_lines(path: Path, piping: Piping, expected: list[bytes]) -> None:
    """Blocks have as many whole lines as their size allows, or the number that was asked for."""
    assert expected == blocks(path, NUMBERS, piping)


@pytest.mark.parametrize(
    ("piping", "expected"),
    [
        (Piping(records=1, start=b">", end=b""), [b">a\n1\n", b">b\n2\n3\n", b">c\n4\n"]),
        (Piping(records=1, start=b">", end=b"\n"), [b">a\n1\n", b">b\n2\n3\n", b">c\n4\n"]),
        (Piping(block=8, start=b">", end=b""), [b">a\n1\n", b">b\n2\n3\n", b">c\n4\n"]),
        (Piping(records=2, start=b">", end=b"", removes_separators=True), [b"a\n1\nb\n2\n3\n", b"c\n4\n"]),
        (Piping(records=1, end=b"E"), [b">a\n1\n>b\n2\n3\n>c\n4\n"]),
    ],
)
def test_records_with_a_start(path: Path, piping: Piping, expected: list[bytes]) -> None:
    """--recstart begins a record; blocks have whole records then."""
    assert expected == blocks(path, b">a\n1\n>b\n2\n3\n>c\n4\n", piping)


def test_no_input(path: Path) -> None:
    """Without any input there is no block."""
    assert blocks(path, b"", Piping()) == []


def test_records_without_an_end(path: Path) -> None:
    """Counting records that neither end nor start is refused."""
    with pytest.raises(SourceError, match="-N counts records"):
        blocks(path, b"", Piping(end=b"", records=1))


@pytest.mark.parametrize("start", [b"", b">"])
@pytest.mark.parametrize("end", [b"", b"\n"])
def test_nothing_is_lost(path: Path, start: bytes, end: bytes) -> None:
    """The blocks together are the input, and each begins where a record does."""
    chance = random.Random(1)
    for _ in range(150):
        data = b"".join(chance.choices([b"a", b"\n", b">", b"\n>", b"xyz"], k=chance.randrange(60)))
        made = blocks(path, data, Piping(block=chance.randrange(1, 20), start=start, end=end))

        assert b"".join(made) == data
        for block, following in itertools.pairwise(made):
            assert block.endswith(end)
            assert following.startswith(start)
