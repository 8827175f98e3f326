"""What the children are for: a mix of everything that the package offers."""

from __future__ import annotations

from campaign.case import Scenario
from campaign.scenarios import blocks, ends, names, runs

__all__ = ["SCENARIOS"]

#: Each scenario by its name, and how often it comes.
SCENARIOS: dict[str, tuple[Scenario, int]] = {
    scenario.__name__: (scenario, weight)
    for module in (names, runs, blocks, ends)
    for scenario, weight in module.SCENARIOS
}
