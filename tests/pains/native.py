"""What only the native spawner can give: tests of it are skipped where the children are started by Popen."""

import pytest

from governess.children._spawn import describe

__all__ = ["needs_native"]

needs_native = pytest.mark.skipif(describe()[0] != "native", reason=f"children are started by {describe()[1]}")
