"""One cell of the table: `python -m pains.one test_pain_07_… trio` prints what was seen, as JSON."""

from __future__ import annotations

import importlib
import json
import sys

from pains.contestants import play
from pains.verdict import DoesNotApply, Hurts

__all__: list[str] = []


def main(name: str, contestant: str) -> None:
    """Play the story with the contestant, and print its mark and the words."""
    try:
        seen = ["relieved", play(importlib.import_module(f"pains.{name}"), contestant)]
    except Hurts as pain:
        seen = ["hurts", str(pain)]
    except DoesNotApply as reason:
        seen = ["does not apply", str(reason)]
    print(json.dumps(seen), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
