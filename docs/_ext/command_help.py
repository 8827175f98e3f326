"""The directive `command-help`: what `governess COMMAND --help` prints."""

from __future__ import annotations

import subprocess
import sys

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class CommandHelp(SphinxDirective):
    """Ask the command for its help, so that the page says what the program says."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        words = self.arguments[0].split()
        command = [sys.executable, "-m", "governess", *words, "--help"]
        text = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        return [nodes.literal_block(text, text, language="text")]


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("command-help", CommandHelp)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
