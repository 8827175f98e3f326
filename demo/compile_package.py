"""Byte-compile one package of the standard library, whose name is the argument."""

import compileall
import re
import sys
import sysconfig
from pathlib import Path

# CPython's own `make install` leaves these out too: they do not compile, on purpose.
BAD = re.compile("bad_coding|badsyntax|lib2to3/tests/data")

package = Path(sysconfig.get_path("stdlib"), sys.argv[1])
sys.exit(not compileall.compile_dir(package, quiet=1, force=True, rx=BAD))
