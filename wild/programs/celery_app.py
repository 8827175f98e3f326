"""celery: a task in this process that runs a loop with a child."""

import asyncio

import celery
from _child import child

application = celery.Celery("wild", broker="memory://", backend="cache+memory://")
application.conf.task_always_eager = True


@application.task
def work() -> int:
    return asyncio.run(child())


print(work.delay().get())
