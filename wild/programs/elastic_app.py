"""elastic-apm: its instrumentation of asyncio, and a child."""

import os

os.environ["ELASTIC_APM_DISABLE_SEND"] = "true"
import asyncio

import elasticapm
from _child import child

client = elasticapm.Client(service_name="wild")
elasticapm.instrument()
client.begin_transaction("wild")
print(asyncio.run(child()))
client.close()
