"""The benchmarks still run: each question once, in its quick form. What they measure here is worth nothing."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="the benchmarks measure what Linux has"),
]

ROOT = Path(__file__).parent.parent
NAMES = sorted(path.stem for path in (ROOT / "benchmarks" / "questions").glob("[a-z]*.py"))


def ask(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=100,
    )


@pytest.mark.parametrize("name", NAMES)
def test_quick_form(name: str, tmp_path: Path) -> None:
    """Every case has an answer of its base or a reason why not, and the tables are printed and kept."""
    ran = ask("--quick", "--into", tmp_path, name)

    assert ran.returncode == 0, ran.stderr
    assert "figures to reach" in ran.stdout
    found = json.loads((tmp_path / f"{name}.json").read_text())
    assert found["rounds"]
    for case, answers in found["rounds"].items():
        assert answers or found["missing"][case]
    page = (tmp_path / f"{name}.md").read_text()
    assert "\n<summary>" in page
    pictures = re.findall(r"\(performance/(.*?)\)", page)
    assert pictures
    assert all((tmp_path / picture).read_text().startswith("<svg ") for picture in pictures)


def test_summary_of_what_is_kept(tmp_path: Path) -> None:
    """`--draw` measures nothing: it shows again what is kept."""
    ask("--quick", "--into", tmp_path, "imports")
    kept = (tmp_path / "imports.json").read_text()

    ran = ask("--draw", "--into", tmp_path, "imports")

    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "imports.json").read_text() == kept
    assert "import: governess / asyncio" in (tmp_path / "figures.md").read_text()
    assert "needed" not in (tmp_path / "figures.md").read_text()
    assert "≤ 1.15" in (tmp_path / "targets.md").read_text()


def test_unknown_question() -> None:
    """A question that does not exist is named together with those that do."""
    ran = ask("--quick", "speed")

    assert ran.returncode == 2
    assert "'speed'" in ran.stderr
    assert "crowd" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_nothing_is_kept() -> None:
    """`--draw` without results is told in one line."""
    ran = ask("--draw", "--into", "/nonexistent", "rate")

    assert ran.returncode == 1
    assert "nothing is kept" in ran.stderr
    assert "Traceback" not in ran.stderr
