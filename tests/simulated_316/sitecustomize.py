"""Python imports this at its start from PYTHONPATH: from here on, asyncio looks like that of 3.16 when it is imported.

The children of the process see it too. asyncio itself is not imported: that would change what its tests look at.
"""

import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder


class _SimulateAfterImport(MetaPathFinder):
    def find_spec(self, name: str, path: object, target: object = None) -> ModuleSpec | None:
        if name != "asyncio":
            return None
        sys.meta_path.remove(self)
        spec = PathFinder.find_spec(name)
        run = spec.loader.exec_module

        def run_and_simulate(module: object) -> None:
            run(module)
            import _simulated_316

            _simulated_316.simulate()

        spec.loader.exec_module = run_and_simulate
        return spec


sys.meta_path.insert(0, _SimulateAfterImport())
