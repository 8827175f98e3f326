"""The tests that come with a distribution, as its source distribution has them.

The first run, which is that of plain Python, records what fails. A later run fails when a test fails that did not then.
"""

import json
import os
import re
import sys
from pathlib import Path

import pytest


class Count:
    """Counts outcomes."""

    def __init__(self) -> None:
        self.failed: set[str] = set()
        self.passed = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take down what came of a test."""
        if report.failed:
            self.failed.add(report.nodeid)
        elif report.when == "call" and report.passed:
            self.passed += 1


os.chdir(os.environ["WILD_SOURCE"])
count = Count()
words = ["-q", "-o", "addopts=", "-W", "ignore", "-p", "no:cacheprovider", "-p", "no:governess", "-p", "no:randomly"]
status = pytest.main([*words, *os.environ["WILD_TESTS"].split()], plugins=[count])
record = Path(os.environ["WILD_FOLDER"], "failed.json")
if not record.exists():
    record.write_text(json.dumps(sorted(count.failed)))
new = count.failed - {*json.loads(record.read_text())}
names = sorted({re.sub(r"\[.*", "", name.rpartition("::")[2]) for name in new or count.failed})
failed = f", {len(count.failed)} failed: {', '.join(names[:3])}" if names else ""
print(f"{count.passed} passed{failed}", file=sys.stderr if new or not count.passed else sys.stdout)
sys.exit(1 if new or not count.passed else 0)
