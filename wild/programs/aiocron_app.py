"""aiocron: a schedule in a loop that is made at the top level; its job starts a child."""

import asyncio

import aiocron
from _child import child

asyncio.set_event_loop(loop := asyncio.new_event_loop())
job = aiocron.crontab("* * * * * */1", func=child, start=False, loop=loop)
print(loop.run_until_complete(job.next()))
