"""Replacement strings in the words of a command."""

import sys

import pytest

from governess.cli.run.inputs import Fill, SourceError
from governess.cli.run.inputs.templates import Strings, WordsTemplate

pytestmark = pytest.mark.windows


def fill(words: str, *arguments: str, strings: Strings | None = None, how: Fill = Fill.JOIN) -> list[str]:
    strings = strings or Strings(len(arguments))
    return list(WordsTemplate.parse(words.split(" "), strings, how).fill(arguments, number=7, slot=3))


@pytest.mark.parametrize(
    ("words", "arguments", "argv"),
    [
        ("echo {}", ["a b"], ["echo", "a b"]),
        ("echo", ["a"], ["echo", "a"]),
        ("echo", ["a", "b"], ["echo", "a", "b"]),
        ("echo {}", ["a", "b"], ["echo", "a", "b"]),
        ("echo <{}>", ["a", "b"], ["echo", "<a b>"]),
        ("echo {1}{2} {2}-{1}", ["a", "b"], ["echo", "ab", "b-a"]),
        ("echo {-1} {-2}", ["a", "b"], ["echo", "b", "a"]),
        ("cp {} {.}.bak", ["dir/x.tar.gz"], ["cp", "dir/x.tar.gz", "dir/x.tar.bak"]),
        ("{/} {//} {/.}", ["dir.d/x.tar.gz"], ["x.tar.gz", "dir.d", "x.tar"]),
        ("{/} {//} {/.} {.}", ["name"], ["name", ".", "name", "name"]),
        ("{.} {/.}", ["dir.d/name"], ["dir.d/name", "name"]),
        ("{..} {...} {/..} {/...}", ["d/a.b.c.d"], ["d/a.b", "d/a", "a.b", "a"]),
        ("{..} {/..}", ["d.e/a.b"], ["d.e/a.b", "a.b"]),
        ("{+/} {+.} {+..} {+...}", ["d/a.b.c.d"], ["d", "d", "c.d", "b.c.d"]),
        ("[{+/}] [{+.}] [{+..}]", ["a"], ["[]", "[]", "[]"]),
        ("{1+.} {2..}", ["a.b", "c.d.e"], ["b", "c"]),
        ("{/}|{//}", ["/"], ["|/"]),
        ("{/}|{//}", ["/top"], ["top|/"]),
        ("{/}|{//}", ["a/b/"], ["|a"]),
        ("{/}|{//}|{.}|{/.}", [""], ["|.||"]),
        ("{1.} {2/} {1//} {2/.}", ["a/b.c", "d/e.f"], ["a/b", "e.f", "a", "e"]),
        ("x {#} {%}", ["a"], ["x", "7", "3"]),
        ("x{#}", ["a"], ["x7"]),
        ("{}", ["{#} {1}"], ["{#} {1}"]),
        ("{} {0} {x} {}} {{}", ["a"], ["a", "{0}", "{x}", "a}", "{a"]),
        ("{}", [""], [""]),
        ("{/}", ["new\nline/name\n"], ["name\n"]),
    ],
)
def test_fill(words: str, arguments: list[str], argv: list[str]) -> None:
    """Each replacement string stands for what GNU parallel puts there; without any, arguments are appended."""
    assert argv == fill(words, *arguments)


@pytest.mark.parametrize("word", ["{2}", "{-2}", "{12/.}"])
def test_position_without_a_source(word: str) -> None:
    """A position beyond the sources is an error that names it."""
    with pytest.raises(SourceError, match="there is only one") as caught:
        fill(f"echo {word}", "a")

    assert word in str(caught.value)


def test_positions_where_their_number_varies() -> None:
    """Where a job may have fewer arguments, those that are missing are empty."""
    assert fill("{1}-{3}", "a", strings=Strings()) == ["a-"]


def test_perl() -> None:
    """A Perl expression is refused, and the text says what to use instead."""
    with pytest.raises(SourceError, match=r"\{= s/a/b/ =\} is Perl.*\$\{x%"):
        WordsTemplate.parse(["echo", "{= s/a/b/ =}"], Strings(1))


def test_names() -> None:
    """Columns with a name are replaced by it, with every operation; other words in braces stay."""
    strings = Strings(2, ("file", "a b"))

    assert list(WordsTemplate.parse(["{file/.}", "{a b}", "{fil}"], strings).fill(("d/x.y", "z"), 1, 1)) == [
        "x",
        "z",
        "{fil}",
    ]


@pytest.mark.parametrize(
    ("whole", "words", "argv"),
    [
        ("%", "echo %.png {.} {}", ["echo", "a.b.png", "a", "{}"]),
        ("{}", "echo {}", ["echo", "a.b"]),
        (",,", "echo x,,", ["echo", "xa.b"]),
        ("%", "echo", ["echo", "a.b"]),
    ],
)
def test_another_string_for_the_argument(whole: str, words: str, argv: list[str]) -> None:
    """With -I another string stands for the argument, and {} has no meaning."""
    assert argv == fill(words, "a.b", strings=Strings(1, (), whole))


@pytest.mark.parametrize(
    ("how", "words", "argv"),
    [
        (Fill.REPEAT, "echo {} x{.}y", "echo a.b c.d xay xcy"),
        (Fill.SPREAD, "echo {} x{.}y", "echo a.b c.d xa cy"),
        (Fill.JOIN, "echo {} x{.}y", "echo a.b c.d xa cy"),
        (Fill.REPEAT, "echo {1}-{2} {#}", "echo a.b-c.d 7"),
        (Fill.REPEAT, "echo {}={}", "echo a.b=a.b c.d=c.d"),
        (Fill.SPREAD, "echo {}={}", "echo a.b c.d=a.b c.d"),
    ],
)
def test_several_arguments(how: Fill, words: str, argv: str) -> None:
    """A word with other text is repeated for each argument (-X), or spread (-m), or filled with all of them."""
    assert argv == " ".join(fill(words, "a.b", "c.d", how=how))


def test_words_of_several_arguments() -> None:
    """Repeated and spread arguments are words of their own, joined ones are one word."""
    assert fill("x{}y", "1", "2", how=Fill.REPEAT) == ["x1y", "x2y"]
    assert fill("x{}y", "1", "2", how=Fill.SPREAD) == ["x1", "2y"]
    assert fill("x{}y", "1", "2", how=Fill.JOIN) == ["x1 2y"]


@pytest.mark.skipif(sys.platform != "win32", reason="paths of Windows")
def test_backslashes_separate_on_windows() -> None:
    """On Windows a backslash separates folders too."""
    assert fill("{/} {//} {/.}", r"a\b\c.d") == ["c.d", r"a\b", "c"]
