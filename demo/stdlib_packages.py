"""Print the packages of the standard library, the largest first, so that no long one starts last."""

import sysconfig
from pathlib import Path

stdlib = Path(sysconfig.get_path("stdlib"))


def size(package: Path) -> int:
    return sum(source.stat().st_size for source in package.rglob("*.py"))


packages = [init.parent for init in stdlib.glob("*/__init__.py")]
for package in sorted(packages, key=size, reverse=True):
    print(package.name)
