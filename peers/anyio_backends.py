"""A pytest plugin for anyio's own tests: its backends are the combinations that governess's plugin was asked for."""

import pytest

from governess.pytest_plugin import options


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Take the place of the parameters in anyio's conftest.py, but not of those that a test sets itself."""
    chosen = options.chosen_for(metafunc.definition)
    sets_its_own = any("anyio_backend" in mark.args[0] for mark in metafunc.definition.iter_markers("parametrize"))
    if chosen is not None and not sets_its_own and "anyio_backend" in metafunc.fixturenames:
        # A mark, since pytest would add the fixture's own parameters to `metafunc.parametrize`.
        backends = [("asyncio", {"debug": True, "loop_factory": each}) for each in chosen]
        mark = pytest.mark.parametrize("anyio_backend", backends, ids=[each.id for each in chosen])
        metafunc.definition.add_marker(mark)
