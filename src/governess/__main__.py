"""`python -m governess` is the same as `governess`."""

import sys

from governess.cli import main

if __name__ == "__main__":
    sys.exit(main())
