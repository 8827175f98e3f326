"""The optional extensions, and the README as a package index shows it; everything else stands in pyproject.toml."""

import os
import posixpath
import re
import sys
import sysconfig
import tomllib
from glob import glob
from pathlib import Path

from setuptools import Distribution, Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
# abi3: one build serves every CPython from 3.11 on that has a GIL.
# abi3t (PEP 803): one build serves every CPython from 3.15 on, with a GIL or without. Where there is a GIL,
# GOVERNESS_ABI3T=1 asks for it. Free-threaded CPythons before 3.15 have no stable ABI: a build serves one version.
ABI3T = sys.version_info >= (3, 15) and (FREE_THREADED or os.environ.get("GOVERNESS_ABI3T") == "1")
ABI3 = not FREE_THREADED
# Without a compiler the package works, more slowly; what is released has the extensions.
OPTIONAL = os.environ.get("GOVERNESS_REQUIRE_NATIVE") != "1"

spawn = Extension(
    "governess.children._spawn._native",
    sorted(glob("native/spawn/*.c")),
    depends=sorted(glob("native/spawn/*.h")),
    define_macros=[("Py_TARGET_ABI3T", "0x030F0000")] if ABI3T else [],
    # The child calls functions while it shares our memory: none of them may be looked up only then.
    extra_link_args=["-Wl,-z,now"] if sys.platform == "linux" else [],
    optional=OPTIONAL,  # without it children are started by subprocess.Popen
    py_limited_api=ABI3 and not ABI3T,
)

ready = Extension(
    "governess.loops._priority._ready",
    sorted(glob("native/ready/*.c")),
    depends=sorted(glob("native/ready/*.h")),
    optional=OPTIONAL,  # without it prioritized loops have their line in Python
    py_limited_api=True,
)

# The second counts on the GIL, which a free-threaded build has not.
extensions = [spawn, ready] if ABI3 else [spawn]


class PlatformDistribution(Distribution):
    """A distribution whose wheels each serve one platform.

    pip would prefer a wheel for any platform, as Windows would make it, to the sdist where the extensions can be built.
    """

    def has_ext_modules(self) -> bool:
        """Return whether the distribution depends on the platform."""
        return True


class BuildExtensions(build_ext):
    """Names what is built for abi3t, which setuptools does not do for every Python."""

    def get_ext_filename(self, name: str) -> str:
        """Return the file of an extension."""
        filename: str = super().get_ext_filename(name)
        if ABI3T and name.endswith("_native"):
            return filename.removesuffix(sysconfig.get_config_var("EXT_SUFFIX")) + ".abi3t.so"
        return filename


class BuildWheel(bdist_wheel):
    """Tags a wheel for what the extensions in it serve."""

    def get_tag(self) -> tuple[str, str, str]:
        """Return the tags of Python, ABI and platform."""
        python, abi, platform = super().get_tag()
        if not self._has_extensions():
            return "py3", "none", platform
        if ABI3T:
            # The free-threaded one lacks the second extension: a Python with a GIL shall not prefer it to abi3.
            return "cp315", "abi3t" if FREE_THREADED else "abi3.abi3t", platform
        return python, abi, platform

    def _has_extensions(self) -> bool:
        build = self.get_finalized_command("build_ext")
        return any(os.path.exists(build.get_ext_fullpath(extension.name)) for extension in build.extensions or ())


PROJECT = tomllib.loads(Path("pyproject.toml").read_text("utf-8"))["project"]
LINK = re.compile(
    r"""
    ^(?P<fence>```+).*?^(?P=fence)\s*?$ | `[^`\n]+`  # code, which stays as it is
    | (?P<before> \]\( | ^\[[^]\n]+\]:[ ] | \b(?:href|src|srcset)=" ) (?P<target> (?![a-z][a-z0-9+.-]*:) [^)\s"]+ )
    """,
    re.MULTILINE | re.DOTALL | re.VERBOSE,
)


def absolute(link: re.Match[str]) -> str:
    """Return a link of the README as one into the repository, at the tag of this version."""
    if link["target"] is None:
        return link[0]
    path, hash_sign, fragment = link["target"].partition("#")
    kind = "raw" if path.endswith((".gif", ".jpg", ".png", ".svg", ".webp")) else "blob"
    page = posixpath.normpath(path or "README.md")
    return f"{link['before']}{PROJECT['urls']['Source']}/{kind}/v{PROJECT['version']}/{page}{hash_sign}{fragment}"


setup(
    cmdclass={"build_ext": BuildExtensions, "bdist_wheel": BuildWheel},
    distclass=PlatformDistribution,
    ext_modules=[] if sys.platform == "win32" else extensions,
    long_description=LINK.sub(absolute, Path("README.md").read_text("utf-8")),
    long_description_content_type="text/markdown",
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if ABI3 and not ABI3T and sys.platform != "win32" else {},
)
