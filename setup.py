"""The optional extensions; everything else stands in pyproject.toml."""

import sys
import sysconfig

from setuptools import Extension, setup

# One build serves CPython 3.11 and later; a free-threaded one has no limited API.
LIMITED = not sysconfig.get_config_var("Py_GIL_DISABLED")

spawn = Extension(
    "governess.children._spawn",
    ["src/governess/children/_spawn.c"],
    optional=True,  # without a compiler children are started by subprocess.Popen
    py_limited_api=LIMITED,
)

ready = Extension(
    "governess.loops._ready",
    ["src/governess/loops/_ready.c"],
    optional=True,  # without it prioritized loops have their line in Python
    py_limited_api=LIMITED,
)

# It counts on the GIL, which a free-threaded build has not.
extensions = [spawn, ready] if LIMITED else [spawn]

setup(
    ext_modules=[] if sys.platform == "win32" else extensions,
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if LIMITED and sys.platform != "win32" else {},
)
