"""What a Dask worker is sent: the two functions, by name, and messages in bytes.

The code of a worker with this module must be installed there. Dask pickles the names; what users
have made is inside the bytes, which nothing unpickles.
"""

import asyncio
from typing import Any

import msgspec

from app.runs.engines.messages import Assignment, ProofRequest, encode
from app.runs.engines.worker_process import worker_process


async def prove(message: bytes, slots: int) -> bytes:
    """Return a proof of this Dask worker, in its event loop."""
    request = msgspec.msgpack.decode(message, type=ProofRequest)
    return encode(await asyncio.wrap_future(worker_process(slots).prove(request)))


def run(message: bytes, slots: int) -> bytes:
    """Run a part, and return the answer; a thread of the Dask worker waits for it."""
    assignment = msgspec.msgpack.decode(message, type=Assignment)
    return encode(worker_process(slots).run(assignment))


def workers_of(identity: dict[str, Any]) -> dict[str, int]:
    """Return the threads of each running worker of a scheduler by address."""
    return {
        address: worker["nthreads"]
        for address, worker in identity["workers"].items()
        if worker["status"] == "running"
    }
