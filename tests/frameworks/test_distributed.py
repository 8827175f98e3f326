"""Dask's scheduler, nanny and worker, as processes of their own."""

from collections.abc import Callable

import pytest

PACKAGES = ("distributed",)

pytestmark = pytest.mark.slow  # `make frameworks` runs it


def test_workers(program: Callable[..., str]) -> None:
    """The cluster lives in a loop of the policy, and tasks in the workers start children by governess."""
    text = """
        import os
        from distributed import Client, LocalCluster

        def task(number):
            return governess.run(child()), os.getpid()

        async def main():
            async with (
                LocalCluster(n_workers=2, processes=True, dashboard_address=None, asynchronous=True) as cluster,
                Client(cluster, asynchronous=True) as client,
            ):
                done = await client.gather(client.map(task, range(8)))
                print({status for status, _ in done}, os.getpid() in {pid for _, pid in done}, await child())

        if __name__ == "__main__":
            governess.set_event_loop_policy(policy)
            with policy:
                governess.run(main())
        """
    assert program(text) == "{7} False 7"
