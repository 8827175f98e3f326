"""VizTracer: a traced program with a child."""

import asyncio
import os

from _child import child
from viztracer import VizTracer

with VizTracer(output_file=os.path.join(os.environ["WILD_FOLDER"], "trace.json"), log_async=True, verbose=0):
    print(asyncio.run(child()))
