"""The rows in which a report shows the tries: those of each host together, or one for each slot."""

from __future__ import annotations

from collections.abc import Sequence

from governess.jobs._journal.reader import TryRecord

__all__ = ["lanes_of"]


def lanes_of(tries: Sequence[TryRecord]) -> tuple[list[int], list[str]]:
    """Return the row of each try, from 1, and what each row is called.

    A try on another machine is in a row of its worker, of which there are as many as ran jobs at the same time there.

    Args:
        tries: the tries, in the order of their beginning.
    """
    by_host: dict[str, list[int]] = {}
    for place, each in enumerate(tries):
        by_host.setdefault(each.host, []).append(place)
    rows = [0] * len(tries)
    labels: list[str] = []
    for host, places in sorted(by_host.items()):
        first = len(labels)
        if not host:
            labels += [f"slot {slot}" for slot in range(1, max(tries[place].slot for place in places) + 1)]
            for place in places:
                rows[place] = first + tries[place].slot
            continue
        free_from: list[float] = []
        for place in places:
            each = tries[place]
            lane = next((lane for lane, time in enumerate(free_from) if time <= each.started), len(free_from))
            if lane == len(free_from):
                free_from.append(0.0)
            free_from[lane] = float("inf") if each.ended is None else each.ended
            rows[place] = first + lane + 1
        labels += [host] * len(free_from)
    return rows, labels
