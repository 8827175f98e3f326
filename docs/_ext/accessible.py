"""What screen readers and keyboards need, and the theme leaves out: levels of captions, code blocks that scroll."""

from __future__ import annotations

from typing import Any

from sphinx.application import Sphinx


def mend(_app: Sphinx, _page: str, _template: str, context: dict[str, Any], _doctree: object) -> None:
    """Give captions of the sidebar a level, and let code blocks be scrolled by keys."""
    for part in ("furo_navigation_tree", "toctree"):
        if isinstance(context.get(part), str):
            context[part] = context[part].replace('role="heading"', 'role="heading" aria-level="2"')
    if "body" in context:
        context["body"] = context["body"].replace("<pre>", '<pre tabindex="0">')


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", mend, priority=900)  # after the theme
    return {"parallel_read_safe": True, "parallel_write_safe": True}
