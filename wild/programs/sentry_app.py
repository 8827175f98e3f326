"""sentry-sdk: its asyncio integration, which replaces the task factory, and its patch of subprocess; a child."""

import asyncio

import sentry_sdk
from _child import child
from sentry_sdk.integrations.asyncio import AsyncioIntegration
from sentry_sdk.integrations.stdlib import StdlibIntegration


async def main() -> None:
    sentry_sdk.init(integrations=[AsyncioIntegration(), StdlibIntegration()], traces_sample_rate=1.0)
    with sentry_sdk.start_transaction(name="wild"):
        print(await asyncio.create_task(child()))


asyncio.run(main())
