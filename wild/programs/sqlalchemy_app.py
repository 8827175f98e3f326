"""SQLAlchemy and aiosqlite: an async engine in a loop with a child."""

import asyncio

from _child import child
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine


async def main() -> None:
    engine = create_async_engine("sqlite+aiosqlite://")
    async with engine.connect() as connection:
        print((await connection.execute(text("select 1"))).scalar(), await child())
    await engine.dispose()


asyncio.run(main())
