"""The machine that the figures come from."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path

__all__ = ["describe_machine", "free_gigabytes"]

LIBRARIES = ("governess", "uvloop", "trio", "anyio")


def describe_machine() -> dict[str, str]:
    """Return what a reader needs to judge the figures."""
    return {
        "processor": f"{_field('/proc/cpuinfo', 'model name') or platform.machine()}, {os.cpu_count()} cores",
        "memory": f"{_gigabytes('MemTotal'):.0f} GB",
        "kernel": f"{platform.system()} {platform.release()}",
        "transparent huge pages": _chosen("/sys/kernel/mm/transparent_hugepage/enabled"),
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        **{name: _version(name) for name in LIBRARIES},
    }


def free_gigabytes() -> float:
    """Return how much memory can be had without swapping."""
    return _gigabytes("MemAvailable")


def _gigabytes(name: str) -> float:
    return float((_field("/proc/meminfo", name) or "0").split()[0]) / 2**20


def _field(path: str, name: str) -> str | None:
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), None)


def _chosen(path: str) -> str:
    """Return the word in brackets."""
    try:
        return Path(path).read_text().partition("[")[2].partition("]")[0]
    except OSError:
        return "unknown"


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
