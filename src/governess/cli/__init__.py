"""The command line: `governess run`, `governess python` and `governess info`.

Only this package needs click and rich, the extra `governess[cli]`; `governess python` does not need them.
"""

import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec

__all__ = ["main"]


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    Args:
        args: The arguments after the program's name; None takes those of the process.

    Returns:
        The exit status: for `governess run` 0, the number of failed commands (101 at most) or 128 and the
        number of the signal that ended it; for `governess python` 0; 2 for a wrong call.

    Raises:
        BaseException: what the program of `governess python` raises.
    """
    words = sys.argv[1:] if args is None else list(args)
    if words[:1] == ["python"] and words[1:] != ["--help"]:
        from governess.cli.python.program import launch

        return launch(words[1:])
    _open_standard_descriptors()
    if find_spec("click") is None or find_spec("rich") is None:
        print("governess: the command line needs click and rich: pip install 'governess[cli]'", file=sys.stderr)
        return 2
    try:
        from governess.cli.app import invoke

        return invoke(words)
    except KeyboardInterrupt:
        return 130


def _open_standard_descriptors() -> None:
    """Give a closed standard descriptor (`>&-`) to the null device, lest the loop's own descriptors land there."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
