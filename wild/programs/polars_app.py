"""Polars: a query is awaited beside a child."""

import asyncio

import polars
from _child import child


async def main() -> None:
    frame = polars.LazyFrame({"a": [1, 2]}).select(polars.col("a").sum())
    print((await frame.collect_async()).item(), await child())


asyncio.run(main())
