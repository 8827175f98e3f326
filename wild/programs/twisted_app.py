"""Twisted: the asyncio reactor runs a process and an asyncio child."""

import asyncio
import sys

from twisted.internet import asyncioreactor

asyncioreactor.install(asyncio.new_event_loop())
from _child import child  # noqa: E402
from twisted.internet import defer, reactor, task, utils  # noqa: E402


async def main(_: object) -> None:
    _, _, code = await utils.getProcessOutputAndValue(sys.executable, ["-c", "raise SystemExit(4)"])
    print(code, await defer.Deferred.fromFuture(asyncio.ensure_future(child())))


task.react(lambda one: defer.ensureDeferred(main(one)), _reactor=reactor)
