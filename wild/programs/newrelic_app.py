"""newrelic: its hooks into asyncio, and a child in a background task."""

import asyncio

import newrelic.agent
from _child import child

newrelic.agent.initialize()
work = newrelic.agent.background_task()(child)
print(asyncio.run(work()), asyncio.new_event_loop().run_until_complete(work(4)))
