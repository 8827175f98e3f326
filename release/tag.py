"""The step `tag`: the tag that the workflow `release` builds, checks and publishes."""

from __future__ import annotations

from release.project import project, run

__all__ = ["tag"]


def tag(dry_run: bool) -> str:
    """Tag the commit and push the tag; with `dry_run`, only say so.

    Raises:
        ReleaseError: git refuses.
    """
    name = f"v{project()['version']}"
    if dry_run:
        return f"{name} would be made and pushed to origin"
    run("git", "tag", "--annotate", "--message", f"governess {name[1:]}", name)
    run("git", "push", "origin", name)
    return f"{name} is pushed to origin: the workflow `release` publishes it"
