"""One contestant, one measurement, one process: prints the answers as JSON."""

import importlib
import json
import resource
import sys

from benchmarks.model import Missing


def main() -> None:
    """Read the question, the contestant and the settings from the command line."""
    name, contestant, settings = sys.argv[1:]
    question = importlib.import_module(f"benchmarks.questions.{name}").QUESTION
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        said = question.answer(contestant, **json.loads(settings))
    except Missing as missing:
        said = {"missing": str(missing)}
    json.dump(said, sys.stdout)


if __name__ == "__main__":
    main()
