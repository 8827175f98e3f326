"""The optional extensions; everything else stands in pyproject.toml."""

import os
import sys
import sysconfig
from glob import glob

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
# abi3: one build serves every CPython from 3.11 on that has a GIL.
# abi3t (PEP 803): one build serves every CPython from 3.15 on, with a GIL or without. Where there is a GIL,
# GOVERNESS_ABI3T=1 asks for it. Free-threaded CPythons before 3.15 have no stable ABI: a build serves one version.
ABI3T = sys.version_info >= (3, 15) and (FREE_THREADED or os.environ.get("GOVERNESS_ABI3T") == "1")
ABI3 = not FREE_THREADED

spawn = Extension(
    "governess.children._spawn._native",
    sorted(glob("native/spawn/*.c")),
    depends=sorted(glob("native/spawn/*.h")),
    define_macros=[("Py_TARGET_ABI3T", "0x030F0000")] if ABI3T else [],
    # The child calls functions while it shares our memory: none of them may be looked up only then.
    extra_link_args=["-Wl,-z,now"] if sys.platform == "linux" else [],
    optional=True,  # without a compiler children are started by subprocess.Popen
    py_limited_api=ABI3 and not ABI3T,
)

ready = Extension(
    "governess.loops._priority._ready",
    sorted(glob("native/ready/*.c")),
    depends=sorted(glob("native/ready/*.h")),
    optional=True,  # without it prioritized loops have their line in Python
    py_limited_api=True,
)

# The second counts on the GIL, which a free-threaded build has not.
extensions = [spawn, ready] if ABI3 else [spawn]


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
        return ("cp315", "abi3.abi3t", platform) if ABI3T else (python, abi, platform)


setup(
    cmdclass={"build_ext": BuildExtensions, "bdist_wheel": BuildWheel},
    ext_modules=[] if sys.platform == "win32" else extensions,
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if ABI3 and not ABI3T and sys.platform != "win32" else {},
)
