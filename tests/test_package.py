"""What is published: the sdist, the metadata that a package index shows, and the tags of wheels."""

import email
import html.parser
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.message import Message
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MADE = {"PKG-INFO", "setup.cfg"}  # by setuptools, beside src/governess.egg-info

pytestmark = [
    pytest.mark.slow,  # what is built takes seconds; `make test-all` runs them
    pytest.mark.skipif(sys.platform == "win32", reason="setuptools is not there"),
]

if sys.platform != "win32":
    from markdown_it import MarkdownIt


def tracked() -> list[str]:
    if not (ROOT / ".git").exists():
        pytest.skip("this is not a clone of the repository")
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [file for file in done.stdout.rstrip("\0").split("\0") if (ROOT / file).exists()]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository's files, with what work in it leaves behind."""
    folder = tmp_path_factory.mktemp("tree")
    left_behind = ["src/governess/x.abi3.so", "docs/_build/html/x.html", "tests/__pycache__/x.pyc", "dist/x.whl"]
    for file in [*tracked(), *left_behind]:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / file).exists():
            shutil.copy(ROOT / file, folder / file)
        else:
            (folder / file).touch()
    return folder


def build(tree: Path, what: str, into: Path, **env: str) -> Path:
    """Call a hook of the build backend, as pip does, and return what it has made."""
    code = f"import sys, setuptools.build_meta as backend; print(backend.{what}(sys.argv[1]))"
    words = [sys.executable, "-c", code, into]
    done = subprocess.run(words, cwd=tree, env={**os.environ, **env}, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return into / done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def metadata(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Message:
    """The metadata of a wheel."""
    made = build(tree, "prepare_metadata_for_build_wheel", tmp_path_factory.mktemp("metadata"))
    return email.message_from_bytes((made / "METADATA").read_bytes())


def links(markdown: str) -> list[str]:
    """What the links and pictures of a text lead to."""
    found: list[str] = []

    class Attributes(html.parser.HTMLParser):
        def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
            found.extend(value or "" for name, value in attributes if name in ("href", "src", "srcset"))

    for block in MarkdownIt().enable("table").parse(markdown):
        for token in [block, *(block.children or [])]:
            found += [str(value) for name, value in token.attrs.items() if name in ("href", "src")]
            if token.type.startswith("html"):
                Attributes().feed(token.content)
    return found


def description(metadata: Message) -> str:
    text = metadata.get_payload(decode=True)
    assert isinstance(text, bytes)
    return text.decode()


def test_links_of_the_description(metadata: Message) -> None:
    """Every link of the README is absolute there, and one into the repository leads to a file of it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    inside = re.compile(
        re.escape(project["urls"]["Source"]) + rf"/(?:blob|raw)/v{re.escape(project['version'])}/([^#]+)"
    )
    written, published = links((ROOT / "README.md").read_text()), links(description(metadata))

    assert len(published) == len(written) > 0
    for before, after in zip(written, published, strict=True):
        if re.match(r"[a-z]+:", before):
            assert after == before
        else:
            match = inside.match(after)
            assert match, after
            assert match[1] in tracked()
            assert after.endswith(before.removeprefix("./"))


def test_description_is_the_readme(metadata: Message) -> None:
    """Nothing but the links differs: code that looks like one stays as it is."""
    assert metadata["Description-Content-Type"] == "text/markdown"
    target = re.compile(r'\]\([^)\s]+\)|(?:href|src|srcset)="[^"]+"')
    assert target.sub("", description(metadata)) == target.sub("", (ROOT / "README.md").read_text())


def test_every_form_of_link(tree: Path, tmp_path: Path) -> None:
    """Pictures lead to the file itself, and references, HTML and anchors are made absolute; code is not."""
    base = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Source"]
    copy = shutil.copytree(tree, tmp_path / "tree")
    (copy / "README.md").write_text(
        "[a](docs/a.md#b) ![p](docs/p.svg) [`c`](./C.md) `x[0](y)` [here](#top)\n"
        '<img src="docs/q.svg"> <a href="mailto:a@b.c">\n\n'
        "[r]: LICENSE\n\n```python\nlist[0](x)\n```\n"
    )
    made = build(copy, "prepare_metadata_for_build_wheel", tmp_path)

    text = description(email.message_from_bytes((made / "METADATA").read_bytes())).replace(base, "…")
    assert re.sub(r"/v[^/]+/", "/", text) == (
        "[a](…/blob/docs/a.md#b) ![p](…/raw/docs/p.svg) [`c`](…/blob/C.md) `x[0](y)` [here](…/blob/README.md#top)\n"
        '<img src="…/raw/docs/q.svg"> <a href="mailto:a@b.c">\n\n'
        "[r]: …/blob/LICENSE\n\n```python\nlist[0](x)\n```\n"
    )


def test_urls(metadata: Message) -> None:
    """All URLs of the project are below that of its source, and those of files lead to some."""
    urls = dict(url.split(", ") for url in metadata.get_all("Project-URL", []))

    assert set(urls) == {"Homepage", "Documentation", "Source", "Changelog", "Issues"}
    for url in urls.values():
        assert url.startswith(urls["Source"])
        _, is_file, path = url.partition("/blob/main/")
        assert not is_file or path in tracked()


def test_nothing_unproven_is_claimed(metadata: Message) -> None:
    """There is no classifier of a system on which nothing was ever run."""
    unproven = ("MacOS", "BSD", "OS Independent", "PyPy", "Production")

    assert not [one for one in metadata.get_all("Classifier", []) if any(word in one for word in unproven)]


def test_extras_are_for_users(metadata: Message) -> None:
    """What developers alone need is no extra."""
    developers = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"])

    assert developers >= {"test", "dev", "docs", "bench", "pains", "frameworks"}
    assert not developers & set(metadata.get_all("Provides-Extra", []))


def test_sdist_is_the_repository(tree: Path, tmp_path: Path) -> None:
    """The sdist has each file of the repository, and nothing that was made beside the metadata."""
    with tarfile.open(build(tree, "build_sdist", tmp_path)) as tar:
        names = {member.name.partition("/")[2] for member in tar if not member.isdir()}
    made = {name for name in names if name in MADE or name.startswith("src/governess.egg-info/")}

    assert sorted(names - made) == sorted(tracked())


def test_wheel_without_a_compiler(tree: Path, tmp_path: Path) -> None:
    """It serves every Python, but no other platform: no index offers it where the extensions can be built."""
    wheel = build(tree, "build_wheel", tmp_path, CC="/bin/false", GOVERNESS_REQUIRE_NATIVE="")

    assert re.fullmatch(r"governess-[^-]+-py3-none-(?!any)\w+\.whl", wheel.name)
    with zipfile.ZipFile(wheel) as archive:
        assert not [name for name in archive.namelist() if name.endswith(".so")]


def test_release_needs_a_compiler(tree: Path, tmp_path: Path) -> None:
    """With GOVERNESS_REQUIRE_NATIVE=1 the build fails rather than leaving the extensions out."""
    with pytest.raises(AssertionError, match="/bin/false"):
        build(tree, "build_wheel", tmp_path, CC="/bin/false", GOVERNESS_REQUIRE_NATIVE="1")
