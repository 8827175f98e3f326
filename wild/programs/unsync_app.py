"""unsync: its own thread's loop runs a child."""

from _child import child
from unsync import unsync


@unsync
async def work() -> int:
    return await child()


print(work().result())
