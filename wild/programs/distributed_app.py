"""Dask: a cluster in this process computes."""

import asyncio

from _child import child
from dask.distributed import Client, LocalCluster


async def main() -> None:
    async with (
        LocalCluster(n_workers=1, processes=False, asynchronous=True, dashboard_address=None) as cluster,
        Client(cluster, asynchronous=True) as client,
    ):
        print(await client.submit(max, 1, 2), await child())


if __name__ == "__main__":
    asyncio.run(main())
