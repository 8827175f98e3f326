"""The optional extensions; everything else stands in pyproject.toml."""

import sys
import sysconfig
from glob import glob

from setuptools import Extension, setup

# One build serves CPython 3.11 and later; a free-threaded one has no limited API.
LIMITED = not sysconfig.get_config_var("Py_GIL_DISABLED")

spawn = Extension(
    "governess.children._spawn._native",
    sorted(glob("native/spawn/*.c")),
    depends=sorted(glob("native/spawn/*.h")),
    # The child calls functions while it shares our memory: none of them may be looked up only then.
    extra_link_args=["-Wl,-z,now"] if sys.platform == "linux" else [],
    optional=True,  # without a compiler children are started by subprocess.Popen
    py_limited_api=LIMITED,
)

ready = Extension(
    "governess.loops._priority._ready",
    sorted(glob("native/ready/*.c")),
    depends=sorted(glob("native/ready/*.h")),
    optional=True,  # without it prioritized loops have their line in Python
    py_limited_api=LIMITED,
)

# It counts on the GIL, which a free-threaded build has not.
extensions = [spawn, ready] if LIMITED else [spawn]

setup(
    ext_modules=[] if sys.platform == "win32" else extensions,
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if LIMITED and sys.platform != "win32" else {},
)
