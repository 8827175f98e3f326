"""loky: a worker process with a loop and a child."""

import asyncio

from _child import child
from loky import get_reusable_executor


def work(code: int) -> int:
    return asyncio.run(child(code))


if __name__ == "__main__":
    print(get_reusable_executor(max_workers=1).submit(work, 3).result(60))
