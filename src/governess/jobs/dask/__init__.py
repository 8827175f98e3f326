"""Jobs on the workers of a Dask cluster; the extra `dask` brings what it needs."""

from governess.jobs.dask._engine import DaskEngine
from governess.jobs.dask._local_cluster import LocalClusterEngine

__all__ = ["DaskEngine", "LocalClusterEngine"]
