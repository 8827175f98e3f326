"""Tables of more than two columns become a list of rows on a phone: each cell tells the heading of its column.

The headings are attributes (`data-label`), which `_static/governess.css` shows where the page is narrow. Long names in
tables and in headings may be broken after a dot or an underscore, rather than anywhere.
"""

from __future__ import annotations

import re

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

# Cells of at most this number of letters, such as a tick, a version or "nothing", stand beside each other.
SHORT = 7
# A name of at most 21 letters is not broken; a word of more than 14 letters in a heading may be.
NAME, WORD = 21, 14


# Where a long name may be broken: `test_events.` and `PolicyTests.`, `get_` and `event_`, `75,` and `signal,`; a very
# long one also before a capital letter, as in `WindowsSelectorEventLoopPolicy`.
BREAKABLE = re.compile(r"(?<=[A-Za-z0-9][._,])(?=[A-Za-z])")
CAPITAL = re.compile(r"(?<=[a-z])(?=[A-Z])")
# An option is not broken after its hyphens, and in a table no short name is.
OPTION = re.compile(r'<span class="pre">(-[\w-]{1,24})</span>')
SHORT_NAME = re.compile(rf'<span class="pre">([^<]{{1,{NAME}}})</span>')
# A figure with the lowest and the highest one is not broken.
RANGE = re.compile(r"[\d.,]+ \([\d.,]+ \u2013 [\d.,]+\)")


def _kinds(text: str) -> list[str]:
    """Return the classes of a cell."""
    if len(text) <= SHORT:
        return ["short" if text else "empty"]
    if RANGE.fullmatch(text.replace("\u2060", "")):
        return ["range"]
    if " " not in text and len(text) <= NAME:
        return ["word"]
    return ["long"] if max(map(len, text.split())) > WORD else []


class Translator(HTML5Translator):
    """Give each table the class `stacked`, and each cell of it the heading of its column."""

    _labels: list[str]
    _column: int

    def visit_table(self, node: nodes.table) -> None:
        self._labels = [entry.astext() for head in node.findall(nodes.thead) for entry in head.findall(nodes.entry)]
        if len(self._labels) > 2:
            node["classes"].append("stacked")
        super().visit_table(node)

    def visit_Text(self, node: nodes.Text) -> None:
        before = len(self.body)
        super().visit_Text(node)
        if isinstance(node.parent, nodes.literal):
            parts = [OPTION.sub(r'<span class="pre option">\1</span>', part) for part in self.body[before:]]
            self.body[before:] = map(_breakable, parts) if _is_narrow(node.parent) else parts
        elif isinstance(node.parent.parent, nodes.entry):
            self.body[before:] = [BREAKABLE.sub("<wbr>", part) for part in self.body[before:]]

    def visit_row(self, node: nodes.row) -> None:
        self._column = 0
        super().visit_row(node)

    def visit_entry(self, node: nodes.entry) -> None:
        before = len(self.body)
        label = self._labels[self._column] if self._column < len(self._labels) else ""
        node["classes"].extend(_kinds(node.astext()))
        super().visit_entry(node)
        if not isinstance(node.parent.parent, nodes.thead) and label:
            quoted = self.attval(label)
            self.body[before] = self.body[before].replace("<td", f'<td data-label="{quoted}"', 1)
        self._column += 1


def _breakable(part: str) -> str:
    """Return a word of HTML that may be broken within long names."""
    is_long = len(re.sub("<[^>]*>", "", part)) > NAME
    part = BREAKABLE.sub("<wbr>", SHORT_NAME.sub(r'<span class="pre name">\1</span>', part))
    return CAPITAL.sub("<wbr>", part) if is_long else part


def _is_narrow(node: nodes.Node) -> bool:
    """Return whether it stands in a table or in a heading."""
    while (node := node.parent) is not None:
        if isinstance(node, nodes.entry | nodes.title):
            return True
    return False


def setup(app: Sphinx) -> dict[str, bool]:
    app.set_translator("html", Translator)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
