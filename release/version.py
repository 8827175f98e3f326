"""The step `version`: pyproject.toml, CHANGELOG.md and the tag tell of one version."""

from __future__ import annotations

import re

from release.project import ROOT, ReleaseError, project, run

__all__ = ["check"]

_SECTION = re.compile(r"^## \[(?P<name>[^]]+)\](?: - (?P<date>.*))?$", re.MULTILINE)


def check(tag: str | None, dry_run: bool) -> str:
    """Check that the version can be released, and return what was found.

    Args:
        tag: the tag that is being released; None to ask for one that is still to be made.
        dry_run: whether the changes may still stand under [Unreleased], and files be changed.

    Raises:
        ReleaseError: the version, the changelog and the tag do not agree, or the work tree has changes.
    """
    version = project()["version"]
    if tag is not None and tag != f"v{version}":
        raise ReleaseError(f"the tag is {tag}, and pyproject.toml has version {version}: the tag should be v{version}")
    sections = {
        section["name"]: section["date"] for section in _SECTION.finditer((ROOT / "CHANGELOG.md").read_text("utf-8"))
    }
    if version not in sections and (not dry_run or "Unreleased" not in sections):
        raise ReleaseError(f"CHANGELOG.md has no section `## [{version}] - YYYY-MM-DD`")
    if not dry_run:
        _check_for_real(version, sections[version], tag)
    where = f"[{version}]" if version in sections else "[Unreleased]"
    return f"{version}, whose changes stand under {where}"


def _check_for_real(version: str, date: str | None, tag: str | None) -> None:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", date or ""):
        raise ReleaseError(f"CHANGELOG.md: the section [{version}] needs its date: `## [{version}] - YYYY-MM-DD`")
    if changes := run("git", "status", "--porcelain"):
        raise ReleaseError(f"the work tree has changes that are not committed:\n{changes}".rstrip())
    if tag is None and run("git", "tag", "--list", f"v{version}"):
        raise ReleaseError(f"the tag v{version} is there already: a new release needs a new version in pyproject.toml")
