"""How many CPUs this process may use."""

import os

__all__ = ["usable_cpus"]


def usable_cpus() -> int:
    """Return the number of CPUs that this process may use."""
    count = getattr(os, "process_cpu_count", None)  # 3.13 and later
    if count is None and hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return (count or os.cpu_count)() or 1
