"""opentelemetry-instrumentation-asyncio: coroutines, threads and futures are traced, and a child."""

import asyncio

from _child import child
from opentelemetry.instrumentation.asyncio import AsyncioInstrumentor

AsyncioInstrumentor().instrument()


async def main() -> None:
    print(await asyncio.gather(child(), asyncio.wait_for(child(4), 30), asyncio.to_thread(int, 5)))


asyncio.run(main())
AsyncioInstrumentor().uninstrument()
