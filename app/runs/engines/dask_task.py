"""Serve a Dask worker's tasks: two functions that it is sent by name, with messages in bytes.

The code of a worker with this module must be installed there. Dask pickles the names; what users
have made is inside the bytes, which nothing unpickles.
"""

import asyncio
from typing import Any

import msgspec
from msgspec import Struct

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


class SeenWorker(Struct, frozen=True):
    """A worker as the scheduler describes it; `accepts`: it is not being retired or closed."""

    threads: int
    accepts: bool


def workers_of(identity: dict[str, Any]) -> dict[str, SeenWorker]:
    """Return the workers of a scheduler by address."""
    return {
        address: SeenWorker(worker["nthreads"], worker["status"] == "running")
        for address, worker in identity["workers"].items()
    }
