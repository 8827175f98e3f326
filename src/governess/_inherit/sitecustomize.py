"""Python runs this at its start where `governess python --inherit` has put this folder into PYTHONPATH.

It installs the bridge when asyncio is imported, if governess can be imported here. Any version of Python 3 may read it,
so it has no annotations.
"""

# mypy: ignore-errors
# pyright: basic, reportOptionalMemberAccess=false, reportMissingImports=false

import os
import sys

FOLDER = os.path.dirname(os.path.abspath(__file__))


class InstallAfterImport:
    """Installs the bridge after the first import of asyncio."""

    def find_spec(self, name, path=None, target=None):
        if name != "asyncio":
            return None
        sys.meta_path.remove(self)
        from importlib.machinery import PathFinder

        spec = PathFinder.find_spec(name, path)
        execute = spec.loader.exec_module

        def execute_and_install(module):
            execute(module)
            try:
                from governess._inherit import join_by_environment
            except (ImportError, SyntaxError):  # another Python, without governess
                return
            join_by_environment()

        spec.loader.exec_module = execute_and_install
        return spec


def run_hidden():
    """Run the `sitecustomize` that this one hides, if there is one."""
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != FOLDER]
    own = sys.modules.pop("sitecustomize", None)
    try:
        import sitecustomize  # noqa: F401
    except ImportError as error:
        if error.name != "sitecustomize":
            raise
        if own is not None:
            sys.modules["sitecustomize"] = own


if __name__ == "sitecustomize":
    if os.environ.get("GOVERNESS_INHERIT"):
        sys.meta_path.insert(0, InstallAfterImport())
    run_hidden()
