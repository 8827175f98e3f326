"""What `make windows` does where Wine has lost a start."""

import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

SITECUSTOMIZE = Path(__file__).parent / "wine" / "sitecustomize.py"


def create_process(errors: list[int], patch: pytest.MonkeyPatch) -> Callable[[str, str], str]:
    """Return `CreateProcess` as the module leaves it, over one that fails with these errors and then returns."""

    def plain(*arguments: str) -> str:
        if errors:
            error = OSError("lost")
            error.winerror = errors.pop(0)  # type: ignore[attr-defined]
            raise error
        return " ".join(arguments)

    patch.setitem(sys.modules, "_winapi", SimpleNamespace(CreateProcess=plain))
    runpy.run_path(str(SITECUSTOMIZE))["_make_lost_starts_again"]()
    return sys.modules["_winapi"].CreateProcess  # type: ignore[attr-defined,no-any-return]


def test_a_lost_start_is_made_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A start that fails with ERROR_INTERNAL_ERROR is made again, and noted."""
    monkeypatch.setenv("GOVERNESS_LOST_STARTS", str(tmp_path / "lost"))
    assert create_process([1359, 1359], monkeypatch)("program", "-c pass") == "program -c pass"
    assert (tmp_path / "lost").read_text() == "-c pass\n" * 2


@pytest.mark.parametrize("errors", [[2], [1359, 2], [1359, 1359, 1359]])
def test_other_errors_are_raised(monkeypatch: pytest.MonkeyPatch, errors: list[int]) -> None:
    """Any other error is raised at once, and so is the third of these."""
    with pytest.raises(OSError, match="lost"):
        create_process(errors, monkeypatch)("program", "-c pass")
