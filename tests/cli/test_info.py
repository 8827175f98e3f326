"""`governess info`: what it tells of extensions that are not there."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import governess
from governess.cli import info

pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    reason="both extensions are for others",
)

NATIVE, READY = "children/_spawn/_native", "loops/_priority/_ready"
REMEDY = (
    f"pip install --force-reinstall --no-deps --no-cache-dir --no-binary governess governess=={governess.__version__}"
)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """The package without its extensions."""
    copy = tmp_path / "governess"
    shutil.copytree(Path(governess.__file__).parent, copy, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    return copy


def told(package: Path, **env: str) -> list[str]:
    environment = {name: value for name, value in os.environ.items() if name != "GOVERNESS_PURE"}
    done = subprocess.run(
        [sys.executable, "-m", "governess", "info"],
        env={**environment, "PYTHONPATH": str(package.parent), **env},
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0
    return done.stdout.splitlines()


def test_extensions_that_are_not_built(package: Path) -> None:
    """Each is named with the reason, and one command tells how to get them."""
    lines = told(package)

    assert [line.split(":")[0] for line in lines if line.startswith("missing ")] == [
        "missing     governess.children._spawn._native",
        "missing     governess.loops._priority._ready",
    ]
    assert all("no C compiler" in line for line in lines if line.startswith("missing "))
    assert "spawner     popen: subprocess.Popen in helper threads: the extension is not built here" in lines
    assert lines[-1].strip() == REMEDY


def test_extension_that_does_not_load(package: Path) -> None:
    """What the dynamic linker says is the reason, not a missing compiler."""
    for name in (NATIVE, READY):
        (package / f"{name}.abi3.so").write_text("no library")

    lines = told(package)

    assert len([line for line in lines if line.startswith("missing ") and "_ready.abi3.so: " in line]) == 1
    assert any(line.startswith("spawner     popen: ") and "does not load (" in line for line in lines)
    assert not any("no C compiler" in line for line in lines)
    assert lines[-1].strip() == REMEDY


def test_extensions_that_are_not_wanted(package: Path) -> None:
    """With GOVERNESS_PURE nothing counts as missing."""
    lines = told(package, GOVERNESS_PURE="1")

    assert not any(line.startswith("missing") for line in lines)
    assert lines[-1] == "spawner     popen: subprocess.Popen in helper threads: GOVERNESS_PURE is set"


def test_every_extension_is_looked_for() -> None:
    """Each extension that setup.py builds is among those that may be missing."""
    root = Path(__file__).parents[2]
    built = {line.strip().strip('",') for line in (root / "setup.py").read_text().splitlines() if '"governess.' in line}

    assert built == set(info._extensions())
