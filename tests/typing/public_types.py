"""The public types, pinned: mypy and pyright check this file, nothing runs it."""
