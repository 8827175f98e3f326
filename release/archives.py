"""The step `check`: what is in dist/ holds what it should and nothing else, and tells the truth about it."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Iterable, Iterator, Set
from pathlib import Path

from packaging.tags import Tag
from packaging.utils import parse_wheel_filename

from release.project import ReleaseError, project, run_tool, sdist, tracked, wheels

__all__ = ["MADE", "check", "problems_of_files", "problems_of_tags"]

#: What an sdist has beside the repository's files.
MADE = {
    "PKG-INFO",
    "setup.cfg",
    *(
        f"src/governess.egg-info/{name}.txt"
        for name in ("SOURCES", "dependency_links", "entry_points", "requires", "top_level")
    ),
    "src/governess.egg-info/PKG-INFO",
}

SPAWN, READY = "governess/children/_spawn/_native.", "governess/loops/_priority/_ready."


def check() -> str:
    """Check what is in dist/, and return what was checked.

    Raises:
        ReleaseError: with all that is wrong.
    """
    archive, found = sdist(), wheels()
    problems = [*_problems_of_sdist(archive), *(problem for wheel in found for problem in _problems_of_wheel(wheel))]
    if problems:
        raise ReleaseError("\n".join(problems))
    run_tool("twine", "check", "--strict", archive, *found)
    stable = [wheel for wheel in found if "-abi3-" in wheel.name]
    if stable:
        run_tool("abi3audit", "--strict", *stable)
    return f"the sdist and {len(found)} wheel(s); twine: {1 + len(found)}, abi3audit: {len(stable)}"


def problems_of_tags(wheel: str) -> Iterator[str]:
    """Tell what is wrong with the name of a wheel, as far as its tags go."""
    platforms = {tag.platform for tag in parse_wheel_filename(wheel)[3]}
    if "any" in platforms:
        yield f"{wheel}: pip would prefer it to the sdist where the extensions can be built"
    if any(platform.startswith("linux_") for platform in platforms):
        yield f"{wheel}: auditwheel has not repaired it, and no index takes it"


def problems_of_files(wheel: str, files: Iterable[str]) -> Iterator[str]:
    """Tell which files are missing in a wheel, and which do not belong there."""
    name, version, _, tags = parse_wheel_filename(wheel)
    rest = {file for file in files if not file.startswith(f"{name}-{version}.dist-info/")}
    for extension in _extensions(tags):
        built = {file for file in rest if file.startswith(extension) and file.endswith(".so")}
        if not built:
            yield f"{wheel}: {extension}*.so is missing"
        rest -= built
    yield from _differences(wheel, rest, {file.removeprefix("src/") for file in tracked("src")})


def _extensions(tags: Iterable[Tag]) -> list[str]:
    if any(tag.platform.startswith("win") for tag in tags):
        return []
    return [SPAWN] if all(tag.abi.endswith("t") for tag in tags) else [SPAWN, READY]  # free-threaded, or not


def _problems_of_sdist(archive: Path) -> Iterator[str]:
    version = project()["version"]
    if archive.name != f"governess-{version}.tar.gz":
        yield f"{archive.name}: pyproject.toml has version {version}"
    with tarfile.open(archive) as tar:
        files = {member.name.partition("/")[2] for member in tar if not member.isdir()}
    yield from _differences(archive.name, files, tracked() | MADE)


def _problems_of_wheel(wheel: Path) -> Iterator[str]:
    if str(parse_wheel_filename(wheel.name)[1]) != project()["version"]:
        yield f"{wheel.name}: pyproject.toml has version {project()['version']}"
    yield from problems_of_tags(wheel.name)
    with zipfile.ZipFile(wheel) as archive:
        yield from problems_of_files(wheel.name, [info.filename for info in archive.infolist() if not info.is_dir()])


def _differences(archive: str, has: Set[str], should: Set[str]) -> Iterator[str]:
    yield from (f"{archive}: {file} is missing" for file in sorted(should - has))
    yield from (f"{archive}: {file} is not in the repository" for file in sorted(has - should))
