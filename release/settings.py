"""The step `settings`: pyproject.toml, the workflows and cibuildwheel's configuration are valid."""

from __future__ import annotations

from release.project import ROOT, ReleaseError, run_tool

__all__ = ["check"]

# What cibuildwheel calls each platform, and for which machines wheels are built there.
MACHINES = {"linux": "x86_64 aarch64", "macos": "x86_64 arm64", "windows": "AMD64 ARM64"}
PYTHONS = ["cp311", "cp312", "cp313", "cp314", "cp315"]
FREE_THREADED = ["cp314t", "cp315t"]


def check() -> str:
    """Check the settings, and return how many builds cibuildwheel makes of them.

    Raises:
        ReleaseError: something is invalid, or a build is missing.
    """
    run_tool("validate_pyproject", "pyproject.toml")
    run_tool("check_jsonschema", "--builtin-schema", "vendor.github-workflows", *(ROOT / ".github").glob("*/*.yml"))
    builds = {build for platform, machines in MACHINES.items() for build in _builds(platform, machines)}
    if missing := _wanted() - builds:
        raise ReleaseError(f"cibuildwheel leaves out {', '.join(sorted(missing))}: see [tool.cibuildwheel]")
    return f"pyproject.toml and the workflows are valid; cibuildwheel knows {len(builds)} builds"


def _builds(platform: str, machines: str) -> list[str]:
    words = ["--platform", platform, "--archs", ",".join(machines.split()), "--print-build-identifiers"]
    return run_tool("cibuildwheel", *words).split()


def _wanted() -> set[str]:
    linux = [f"{kind}_{machine}" for kind in ("manylinux", "musllinux") for machine in ("x86_64", "aarch64")]
    compiled = {
        f"{python}-{tag}" for python in PYTHONS + FREE_THREADED for tag in [*linux, "macosx_x86_64", "macosx_arm64"]
    }
    return compiled | {f"{python}-{tag}" for python in PYTHONS for tag in ("win_amd64", "win_arm64")}
