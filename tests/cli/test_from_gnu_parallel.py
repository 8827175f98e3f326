"""The idioms of GNU parallel: what governess makes of them, and what GNU parallel itself did."""

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from forked import Starts

from . import idioms
from .idioms import DOCS, IDIOMS, Idiom

pytestmark = pytest.mark.skipif(sys.platform == "win32" or shutil.which("bash") is None, reason="needs bash")

RECORDED = idioms.recorded()


@pytest.mark.parametrize("idiom", IDIOMS, ids=[f"{number}" for number, _ in enumerate(IDIOMS)])
def test_idiom(idiom: Idiom, starts: Starts) -> None:
    """governess writes the same as GNU parallel did, and exits with the same status; or differs on purpose."""
    theirs = RECORDED["results"][idiom.command]
    ours = idioms.run(idiom.for_governess(), starts.path)

    assert (theirs == ours) == (not idiom.differs), f"{idiom.for_governess()}\n{theirs}\n{ours}"


def has_recorded_version() -> bool:
    """Return whether the GNU parallel that was recorded is here, and what it needs for CSV."""
    if shutil.which("parallel") is None:
        return False
    version = subprocess.run(["parallel", "--version"], capture_output=True, text=True).stdout
    has_csv = subprocess.run(["perl", "-MText::CSV", "-e", "1"], capture_output=True).returncode == 0
    return version.startswith(f"GNU parallel {RECORDED['version']}\n") and has_csv


@pytest.mark.slow
def test_recording() -> None:
    """GNU parallel itself does what was recorded."""
    if not has_recorded_version():
        pytest.skip("needs the GNU parallel that was recorded, and Text::CSV")
    with ThreadPoolExecutor(2) as pool:
        results = dict(
            zip(
                (idiom.command for idiom in IDIOMS),
                pool.map(lambda idiom: idioms.run(idiom.for_parallel()), IDIOMS),
                strict=True,
            )
        )

    assert results == RECORDED["results"]


def test_table_of_the_docs() -> None:
    """The table of the docs has these idioms, forty at least, and the version that was recorded."""
    page = DOCS.read_text()

    assert page == idioms.with_table(page, RECORDED)
    assert len(IDIOMS) >= 40
