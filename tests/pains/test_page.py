"""docs/pains.md tells every story as its file does."""

from pathlib import Path

from pains.page import told
from pains.stories import stories

PAGE = Path(__file__).parents[2] / "docs" / "pains.md"


def test_every_pain_is_told() -> None:
    """There are 38 pains, each with a story, and the page has each with its title, its threads and its relief."""
    page = PAGE.read_text()
    assert [story.number for story in stories()] == list(range(1, 39))
    assert [story.number for story in stories() if told(story) not in page] == []


def test_governess_relieves_all() -> None:
    """In no cell of the page does governess hurt."""
    cells = [line for line in PAGE.read_text().splitlines() if line[2:].startswith(("✓", "✗", "–"))]
    assert len(cells) == 38 * 6
    assert [cell for cell in cells if "governess" in cell.partition(":")[0] and cell[2] == "✗"] == []
