"""`make release`: what holds a release back."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="releases are made on Linux")

if sys.platform == "linux":
    from release import archives, project, version
    from release.project import ReleaseError

SPAWN, READY = "governess/children/_spawn/_native.abi3.so", "governess/loops/_priority/_ready.abi3.so"
SPAWN_314T = "governess/children/_spawn/_native.cpython-314t-x86_64-linux-gnu.so"


def git(*words: str, cwd: Path) -> None:
    names = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "tag.gpgSign=false", "-c", "commit.gpgSign=false"]
    subprocess.run(["git", *names, *words], cwd=cwd, check=True, capture_output=True)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of version 1.0 with one module, all committed; the steps look at it."""
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1.0"\n')
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## [1.0] - 2026-12-01\n\nFirst.\n")
    (tmp_path / "src" / "governess").mkdir(parents=True)
    (tmp_path / "src" / "governess" / "__init__.py").touch()
    git("init", "--quiet", cwd=tmp_path)
    git("add", "--all", cwd=tmp_path)
    git("commit", "--quiet", "--message", "All", cwd=tmp_path)
    monkeypatch.setattr(version, "ROOT", tmp_path)
    monkeypatch.setattr(project, "ROOT", tmp_path)
    return tmp_path


def test_version(tree: Path) -> None:
    """A version with a dated section, a clean work tree and no tag yet can be released."""
    assert version.check(None, dry_run=False) == "1.0, whose changes stand under [1.0]"


def test_version_at_its_tag(tree: Path) -> None:
    """Where the tag is there already, it has to be that of the version."""
    git("tag", "v1.0", cwd=tree)

    assert version.check("v1.0", dry_run=False).startswith("1.0,")
    with pytest.raises(ReleaseError, match=r"the tag is v1\.1, and pyproject\.toml has version 1\.0"):
        version.check("v1.1", dry_run=False)
    with pytest.raises(ReleaseError, match=r"the tag v1\.0 is there already"):
        version.check(None, dry_run=False)


@pytest.mark.parametrize("heading", ["[1.0]", "[1.0] - unreleased", "[0.9] - 2026-12-01", "[Unreleased]"])
def test_changelog_without_the_version(tree: Path, heading: str) -> None:
    """The section of the version is needed, with its date."""
    (tree / "CHANGELOG.md").write_text(f"# Changelog\n\n## {heading}\n")

    with pytest.raises(ReleaseError, match=r"CHANGELOG\.md"):
        version.check(None, dry_run=False)


def test_changes_that_are_not_committed(tree: Path) -> None:
    """What is released is what is committed."""
    (tree / "new.py").touch()

    with pytest.raises(ReleaseError, match=r"not committed:\n\?\? new\.py"):
        version.check(None, dry_run=False)


def test_dry_run(tree: Path) -> None:
    """A dry run is for the time before: the changes stand under [Unreleased], and files are not committed."""
    (tree / "CHANGELOG.md").write_text("# Changelog\n\n## [Unreleased]\n")

    assert version.check(None, dry_run=True) == "1.0, whose changes stand under [Unreleased]"


@pytest.mark.parametrize(
    ("tags", "problem"),
    [
        ("cp311-abi3-manylinux_2_28_x86_64", None),
        ("cp311-abi3-musllinux_1_2_aarch64", None),
        ("cp314-cp314t-macosx_11_0_arm64", None),
        ("py3-none-win_amd64", None),
        ("py3-none-any", "pip would prefer it to the sdist"),
        ("cp311-abi3-linux_x86_64", "auditwheel has not repaired it"),
    ],
)
def test_tags(tags: str, problem: str | None) -> None:
    """A wheel for any platform would hide the sdist; one for `linux` is for this machine alone."""
    problems = list(archives.problems_of_tags(f"governess-1.0-{tags}.whl"))

    assert len(problems) == (problem is not None)
    assert problem is None or problem in problems[0]


@pytest.mark.parametrize(
    ("tags", "native"),
    [
        ("cp311-abi3-manylinux_2_28_x86_64", [SPAWN, READY]),
        ("cp314-cp314t-manylinux_2_28_x86_64", [SPAWN_314T]),
        ("cp315-abi3t-manylinux_2_28_x86_64", ["governess/children/_spawn/_native.abi3t.so"]),
        ("py3-none-win_amd64", []),
    ],
)
def test_files(tree: Path, tags: str, native: list[str]) -> None:
    """A wheel has the modules of the repository, the extensions that its tags promise, and nothing else."""
    wheel = f"governess-1.0-{tags}.whl"
    files = ["governess/__init__.py", "governess-1.0.dist-info/METADATA", *native]

    assert list(archives.problems_of_files(wheel, files)) == []
    assert list(archives.problems_of_files(wheel, [*files, "tests/x.py"])) == [
        f"{wheel}: tests/x.py is not in the repository"
    ]
    assert list(archives.problems_of_files(wheel, files[1:])) == [f"{wheel}: governess/__init__.py is missing"]
    for extension in native:
        (problem,) = archives.problems_of_files(wheel, [file for file in files if file != extension])
        assert problem == f"{wheel}: {extension.partition('.')[0]}.*.so is missing"


def test_unknown_step() -> None:
    """A step that does not exist is an error that names those that do."""
    words = [sys.executable, "-m", "release", "--dry-run", "publish"]
    done = subprocess.run(words, cwd=Path(__file__).parent.parent, capture_output=True, text=True)

    assert done.returncode == 2
    assert done.stderr == "release: there is no step 'publish': settings, version, build, check, install, tag\n"
