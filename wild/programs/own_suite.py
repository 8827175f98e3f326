"""The tests that come with a distribution, as its source distribution has them."""

import os
import re
import sys
from pathlib import Path

import pytest


class Count:
    """Counts outcomes, and prints them as the last line."""

    def __init__(self) -> None:
        self.failed: set[str] = set()
        self.passed = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.add(report.nodeid)
        elif report.when == "call" and report.passed:
            self.passed += 1


os.chdir(os.environ["WILD_SOURCE"])
tests = next(folder for folder in ("tests", "test") if Path(folder).is_dir())
skip = os.environ.get("WILD_SKIP", "")
count = Count()
words = ["-q", "-p", "no:cacheprovider", "-p", "no:governess", "-W", "ignore", "-x" if skip == "x" else "-q", tests]
pytest.main(words, plugins=[count])
names = sorted({re.sub(r"\[.*", "", name.rpartition("::")[2]) for name in count.failed})
print(f"{'0 failed' if not names else 'failed: ' + ', '.join(names[:3])}")
sys.exit(0 if count.passed else 1)
