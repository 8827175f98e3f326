"""What `governess up` lets the lines of services do to a terminal."""

import pytest

from governess.cli.up.console import printable_lines

pytestmark = pytest.mark.windows


@pytest.mark.parametrize(
    ("lines", "kept"),
    [
        (b"plain\n", b"plain\n"),
        ("\u00e9\t\u4f60\n".encode(), "\u00e9\t\u4f60\n".encode()),
        (b"\x1b[31mred\x1b[0m\nnext\n", b"\x1b[31mred\x1b[0m\x1b[0m\nnext\n"),
        (b"\x1b[1;38;5;12mblue\n", b"\x1b[1;38;5;12mblue\x1b[0m\n"),
        (b"a\x1b[2Jb\x1b[10;10Hc\x1b[?25ld\n", b"abcd\n"),
        (b"a\x1b]0;title\x07b\x1b]8;;http://x\x1b\\c\n", b"abc\n"),
        (b"a\x1bPq#0\x1b\\b\n", b"ab\n"),
        (b"a\x07b\x08c\rd\x7f\n", b"abcd\n"),
        (b"a\xc2\x9b2Jb\n", b"a2Jb\n"),
        (b"a\x1bcb\x1b(0c\n", b"abc\n"),
        (b"end\x1b\n", b"end\n"),
    ],
)
def test_only_colours_are_kept(lines: bytes, kept: bytes) -> None:
    """Colours are kept, and end with the line; what moves the cursor, clears, or sets a title is not."""
    assert printable_lines(lines) == kept
