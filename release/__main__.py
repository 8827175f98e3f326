"""The command: `make release`, or `python -m release [--dry-run] [STEP…]`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

from release import archives, build, install, settings, tag, version
from release.project import ReleaseError


def main() -> int:
    """Take the steps one after the other, tell what each has found, and return the exit status."""
    options = _options()
    steps: dict[str, Callable[[], str]] = {
        "settings": settings.check,
        "version": lambda: version.check(options.tag, options.dry_run),
        "build": build.build,
        "check": archives.check,
        "install": install.install,
        "tag": lambda: tag.tag(options.dry_run),
    }
    if unknown := set(options.steps) - set(steps):
        print(f"release: there is no step {sorted(unknown)[0]!r}: {', '.join(steps)}", file=sys.stderr)
        return 2
    for name in [step for step in steps if not options.steps or step in options.steps]:
        begin = time.monotonic()
        try:
            found = steps[name]()
        except ReleaseError as error:
            print(f"release: {name}: {error}", file=sys.stderr)
            return 1
        print(f"{name} ({time.monotonic() - begin:.0f} s): {found}", flush=True)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="release", description="Build, check and try out a release, and tag it.")
    parser.add_argument("--dry-run", action="store_true", help="make no tag; changes may be uncommitted and unreleased")
    parser.add_argument("--tag", metavar="NAME", help="the tag that is being released, where it is there already")
    parser.add_argument(
        "steps", nargs="*", metavar="STEP", help="settings, version, build, check, install, tag; or all"
    )
    return parser.parse_args()


sys.exit(main())
