"""The built documentation in a browser: nothing is cut off, and axe finds nothing serious (`make docs-check`)."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

HTML = Path(__file__).parents[2] / "docs" / "_build" / "html"
AXE = Path(os.environ.get("AXE", "/nonexistent"))
PAGES = sorted(page.relative_to(HTML).as_posix() for page in HTML.rglob("*.html") if "_static" not in page.parts)
# What Sphinx makes by itself.
GENERATED = {"genindex.html", "py-modindex.html", "search.html"}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed"),
    pytest.mark.skipif(not AXE.exists(), reason="AXE does not name axe.min.js: make docs-check"),
    pytest.mark.skipif(not PAGES, reason="the documentation is not built: make docs"),
]


@contextmanager
def browsing() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 800, 1400])
def test_pages(width: int, scheme: str) -> None:
    """No page is wider than the window, no table is cut off, no script fails, and axe finds nothing serious."""
    size = {"width": width, "height": 1000}
    with browsing() as browser:
        tab = browser.new_context(viewport=size, color_scheme=scheme, reduced_motion="reduce").new_page()
        problems: list[str] = []
        tab.on("pageerror", lambda error: problems.append(f"{tab.url}: {error}"))
        for page in PAGES:
            if page not in GENERATED:
                tab.goto((HTML / page).as_uri())
                problems.extend(f"{page}: {problem}" for problem in look_at(tab, width))
    assert not problems, "\n".join(problems)


def look_at(tab: Any, width: int) -> list[str]:
    wide = tab.evaluate("document.documentElement.scrollWidth")
    too_wide = [f"it is {wide} px wide"] if wide > width else []
    tab.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    tab.add_script_tag(path=str(AXE))
    return [*too_wide, *tab.evaluate(CUT_OFF), *tab.evaluate(SERIOUS)]


# Tables that do not fit into the text, where a reader would have to scroll to see a column.
CUT_OFF = """() => [...document.querySelectorAll("article table")]
    .filter(table => table.getBoundingClientRect().right > table.closest("article").getBoundingClientRect().right + 1)
    .map(table => "a table is cut off: " + table.innerText.slice(0, 60))"""
SERIOUS = """async () => (await axe.run({resultTypes: ["violations"]})).violations
    .filter(found => ["serious", "critical"].includes(found.impact))
    .map(found => `${found.id} (${found.nodes.length}): ${found.nodes[0].html.slice(0, 120)}`)"""
