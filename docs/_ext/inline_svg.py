"""SVG pictures become a part of the page, so that charts take the colours of its theme.

A picture in an `<img>` does not know whether the reader has chosen the light or the dark theme.
"""

from __future__ import annotations

from html import escape
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform


class InlineSvg(SphinxPostTransform):
    """Replace each image that is an SVG of ours by its text, in a `figure` that scrolls where it is too wide."""

    default_priority = 5  # before the images are collected
    formats = ("html",)

    def run(self, **kwargs: object) -> None:
        for image in list(self.document.findall(nodes.image)):
            if image["uri"].endswith(".svg"):
                svg = Path(self.app.srcdir, image["uri"]).read_text()
                label = f'<span class="chart" role="img" aria-label="{escape(image.get("alt", ""))}">'
                image.replace_self(nodes.raw("", f"{label}{svg}</span>", format="html"))


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_post_transform(InlineSvg)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
