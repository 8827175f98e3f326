"""asgiref, by which Django goes between synchronous and asynchronous code."""

from collections.abc import Callable

PACKAGES = ("asgiref",)


def test_async_to_sync(program: Callable[..., str]) -> None:
    """Under `install()`, the loop that `async_to_sync` makes is the policy's; from other threads too."""
    text = """
        import concurrent.futures
        from asgiref.sync import async_to_sync

        async def main():
            return await child(), asyncio.get_running_loop().governess_policy is policy

        with governess.installed(policy), policy:
            print(*async_to_sync(main)())
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                print(*pool.submit(async_to_sync(main)).result())
        """
    assert program(text) == "7 True\n7 True"


def test_back_and_forth(program: Callable[..., str]) -> None:
    """Asynchronous code that calls synchronous code that calls asynchronous code starts its child in the same loop."""
    text = """
        from asgiref.sync import async_to_sync, sync_to_async

        async def inner():
            return await child(), asyncio.get_running_loop() is outer

        async def main():
            global outer
            outer = asyncio.get_running_loop()
            print(*await sync_to_async(async_to_sync(inner))())

        governess.set_event_loop_policy(policy)
        with policy:
            governess.run(main())
        """
    assert program(text) == "7 True"
