"""ipyparallel: a cluster of two engines, each of which runs a child."""

import ipyparallel


def work(code: int) -> int:
    import asyncio
    import concurrent.futures

    from _child import child

    with concurrent.futures.ThreadPoolExecutor() as pool:  # the engine's own loop runs in this thread
        return pool.submit(asyncio.run, child(code)).result()


with ipyparallel.Cluster(n=2, log_level=50) as clients:
    print(clients[:].map_sync(work, [3, 4]))
