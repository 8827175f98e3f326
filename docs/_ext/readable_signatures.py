"""Signatures say what a reader can type: `stdin=DEVNULL`, `env={}`, no private name, and one form for all overloads."""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Mapping
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer

from governess.loops._limited.loop import DEFAULT
from governess.subprocess._streams import LIMIT

# Private names of defaults, and what they stand for.
NAMES = {
    "NO_INPUT": "DEVNULL",
    "LIMIT": str(LIMIT),
    "DEFAULT": str(DEFAULT),
    "Signals.SIGTERM": "signal.SIGTERM",
}
# The module in front of a type: a private one of governess, or one of the standard library.
MODULE = re.compile(
    r"\b(?:governess(?:\.\w+)*\._\w+(?:\.[a-z]\w*)*|collections\.abc|asyncio\.(?:events|streams)|pathlib|typing)\.(?=[A-Z])"
)
# Names of types that say little to a reader, and what they stand for.
TYPES = {
    "MaybeNone": "None",
    "OutputT": "bytes | str | None",
    "AnyStr": "str | bytes",
    "CommandT": "Sequence[str] | Cmd",
    "ResultT": "Completed | Exception",
    "LoopFuture": "Future",
}
# What a function with the decorator of `contextlib` returns to its caller.
MANAGERS = {
    "Iterator[None]": "AbstractContextManager[None]",
    "AsyncIterator[Process]": "AbstractAsyncContextManager[Process]",
}
# A string in a type, whose quotes docutils has made typographic.
QUOTED = re.compile("\u2018([\\w-]+)\u2019")
PATTERN = re.compile(rf"=({'|'.join(map(re.escape, NAMES))})\b")


def process(
    _app: Sphinx, _what: str, _name: str, what: Any, _options: object, signature: str | None, returned: str | None
) -> tuple[str | None, str | None]:
    """Return the signature with names for people."""
    if signature is None:
        return None
    if dataclasses.is_dataclass(what):
        for field in dataclasses.fields(what):
            if field.default_factory is not dataclasses.MISSING:
                default = _describe(field.default_factory())
                signature = signature.replace(f"{field.name}=<factory>", f"{field.name}={default}")
    return PATTERN.sub(lambda found: f"={NAMES[found[1]]}", signature), returned


def _describe(value: object) -> str:
    """Return `Backoff()` for a value of a class of ours, else what Python writes for it."""
    if dataclasses.is_dataclass(value):
        return f"{type(value).__name__}()"
    return repr(dict(value) if isinstance(value, Mapping) else value)


def _forget_overloads() -> None:
    """Have autodoc show the function itself: overloads are for type checkers, and hide most options."""
    analyze = ModuleAnalyzer.analyze

    def analyze_without_overloads(self: ModuleAnalyzer) -> None:
        analyze(self)
        self.overloads.clear()

    ModuleAnalyzer.analyze = analyze_without_overloads  # type: ignore[method-assign]


def show_short_types(_app: Sphinx, doctree: nodes.document, _page: str) -> None:
    """Write types as a caller would: `State`, and not the private module in which it is defined."""
    for content in doctree.findall(addnodes.desc):
        before = ""
        for text in list(content.findall(nodes.Text)):
            short = _short(text, before)
            before = (before + text).rstrip()[-1:]
            if short != text:
                # Not `replace`, which takes the first child that is equal.
                siblings = text.parent.children
                text.parent[next(index for index, each in enumerate(siblings) if each is text)] = nodes.Text(short)
        for field in list(content.findall(nodes.field)):
            _mend_return_type(field)


def _short(text: str, before: str) -> str:
    """Return a part of a type in short; `before` is the last character before it."""
    # Of `Exit | MaybeNone`, autodoc makes `Exit | Any`.
    short = "None" if text == "Any" and before == "|" else MODULE.sub("", text).replace("| Any", "| None")
    for name, meaning in TYPES.items():
        short = re.sub(rf"\b{name}\b", meaning, short)
    return QUOTED.sub(r"'\1'", short)


def _mend_return_type(field: nodes.field) -> None:
    """Call a context manager one; leave out that a constructor returns an object of its class."""
    name, body = field.children
    if name.astext() != "Return type":
        return
    if body.astext() == "Self":
        field.parent.remove(field)
    elif (meaning := MANAGERS.get(body.astext())) is not None:
        field.replace(body, nodes.field_body("", nodes.paragraph("", meaning)))


def hide_private_bases(_app: Sphinx, _name: str, _object: object, _options: object, bases: list[Any]) -> None:
    """Leave out base classes that nobody can import from a public module, unless there is no other."""
    public = [base for base in bases if not any(part.startswith("_") for part in _home(base).split("."))]
    bases[:] = [_role(base) for base in public] or [object]


def _role(base: Any) -> Any:
    """Return a link that has the module too, so that asyncio's `Process` is not taken for ours."""
    home = _home(base)
    return base if home.startswith(("builtins.", "governess.")) else f":py:class:`{home}`"


def _home(base: type) -> str:
    """Return the shortest module that has the class by its name, and the name."""
    packages = base.__module__.split(".")
    for length in range(1, len(packages) + 1):
        module = sys.modules.get(".".join(packages[:length]))
        if getattr(module, base.__name__, None) is base:
            return ".".join([*packages[:length], base.__name__])
    return f"_.{base.__name__}"


def setup(app: Sphinx) -> dict[str, bool]:
    _forget_overloads()
    app.connect("autodoc-process-signature", process)
    app.connect("autodoc-process-bases", hide_private_bases)
    app.connect("doctree-resolved", show_short_types)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
