"""What holds for every test; and the examples in README.md and docs/ as tests."""

import sys

pytest_plugins = ["pytester", "leaks"]

if sys.platform != "win32":
    from sybil import Sybil

    from examples import PARSERS

    pytest_collect_file = Sybil(
        parsers=PARSERS,
        patterns=["README.md", "docs/*.md"],
        fixtures=["no_leaks"],
    ).pytest()
