"""The front page: what its first two examples print, and how long it is."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
TIMED = re.compile(r"(b'.*') after (\d+) s")
WITH_ASYNCIO, WITH_GOVERNESS = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("code", [WITH_ASYNCIO, WITH_GOVERNESS], ids=["asyncio", "governess"])
def test_timeout(code: str) -> None:
    """A block, pasted alone, prints what its last line says; on a busy machine it may take a second longer."""
    comment = code.rstrip().splitlines()[-1]
    shown = TIMED.search(comment)
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, timeout=60, check=True)
    printed = TIMED.search(done.stdout)

    assert comment.startswith("# prints: ")
    assert shown
    assert printed
    assert printed[1] == shown[1]
    assert int(shown[2]) <= int(printed[2]) <= int(shown[2]) + 1


def test_length() -> None:
    """A new user reads it in a few minutes: it has fewer than 800 words."""
    assert len(README.split()) < 800


def test_links() -> None:
    """Each relative link leads to a file."""
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
