"""`governess report --html`: what the page has, and that what jobs have written stays text in it."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

if sys.platform == "win32":
    pytest.skip("needs sh", allow_module_level=True)

from governess.jobs._report_page import end_of

from .conftest import Run

EVIL = "</script><script>document.title='taken'</script>"
JOBS = f"""
[jobs.fetch]
run = ["echo", "fetched"]
[jobs.build]
run = ["sh", "-c", 'echo "$1"; printf "\\\\033[31mred\\\\033[m"; exit 3', "sh", "{EVIL}"]
after = ["fetch"]
[jobs.ship]
run = ["echo", "shipped"]
after = ["build"]
"""


@pytest.fixture
def page(governess: Run, tmp_path: Path) -> Path:
    (tmp_path / "jobs.toml").write_text(JOBS)
    assert governess("run", "--journal", "journal", "jobs.toml").returncode == 1
    done = governess("report", "journal", "--html", "report.html")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return tmp_path / "report.html"


def data_of(page: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(page.partition('type="application/json">')[2].partition("</script>")[0])
    return data


def test_data(page: Path) -> None:
    """The page has the jobs, their starts, the critical path and the ends of outputs, and asks nothing of a network."""
    text = page.read_text()
    data = data_of(text)
    assert [(job[0], job[1], job[3]) for job in data["jobs"]] == [
        (1, "fetch", "done"),
        (2, "build", "failed"),
        (3, "ship", "skipped"),
    ]
    assert [(each[0], each[3]) for each in data["tries"]] == [(1, "done"), (2, "failed")]
    assert [name for name, _ in data["path"]] == ["fetch", "build"]
    assert data["logs"]["2"] == [["standard output", f"{EVIL}\nred"]]
    assert "//" not in text.partition('<script id="data"')[0]
    assert text.count("</script>") == 2


def test_not_writable(governess: Run, page: Path) -> None:
    """A page that cannot be written is an error that names it."""
    done = governess("report", "journal", "--html", "missing/report.html")
    assert done.returncode == 255
    assert "cannot write missing/report.html: No such file or directory" in done.stderr


def test_end_of(tmp_path: Path) -> None:
    """Of a long output the last lines are shown, without what controls a terminal."""
    path = tmp_path / "1.1.out"
    path.write_bytes(b"x" * 3000 + b"\n\x1b]0;title\x07last \x1b[1mline\x1b[m\x9b\xff\n")
    assert end_of(path) == "… last line\ufffd\ufffd\n"
    assert end_of(tmp_path / "missing") == ""


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
def test_in_a_browser(page: Path) -> None:
    """A browser shows it without an error, as wide as a phone too, and runs nothing that a job has written."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for width, scheme in ((390, "light"), (1400, "dark")):
            tab = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
            errors: list[str] = []
            tab.on("pageerror", lambda error, errors=errors: errors.append(str(error)))
            tab.goto(page.as_uri())
            tab.wait_for_selector("#rows tr")
            assert tab.title() == "Jobs of journal"
            assert tab.evaluate("document.documentElement.scrollWidth") == width
            assert tab.inner_text("#count") == "3 of 3"
            tab.fill("#filter", "ship")
            tab.locator("#count", has_text="1 of 3").wait_for()
            assert errors == []
        browser.close()
