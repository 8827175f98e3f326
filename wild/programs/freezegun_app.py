"""freezegun: the time stands still, but for that of the loop, which runs a child."""

import asyncio
import datetime

from _child import child
from freezegun import freeze_time


async def main() -> int:
    await asyncio.sleep(0.01)
    return await child()


with freeze_time("2020-01-02", real_asyncio=True):
    print(asyncio.run(main()), datetime.date.today())
