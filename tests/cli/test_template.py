"""Replacement strings."""

import sys

import pytest

from governess.cli.run.sources import SourceError, Template

pytestmark = pytest.mark.windows


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
    template = Template.parse(words.split(" "), len(arguments))

    assert tuple(argv) == template.fill(arguments, number=7, slot=3)


@pytest.mark.parametrize("word", ["{2}", "{-2}", "{12/.}"])
def test_position_without_a_source(word: str) -> None:
    """A position beyond the sources is an error that names it."""
    with pytest.raises(SourceError, match="there is only one") as caught:
        Template.parse(["echo", word], 1)

    assert word in str(caught.value)


@pytest.mark.skipif(sys.platform != "win32", reason="paths of Windows")
def test_backslashes_separate_on_windows() -> None:
    """On Windows a backslash separates folders too."""
    assert Template.parse(["{/}", "{//}", "{/.}"], 1).fill([r"a\b\c.d"], 1, 1) == ("c.d", r"a\b", "c")
