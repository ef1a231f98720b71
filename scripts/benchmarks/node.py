"""Run the baselines in Node if it is on PATH: in a fresh context, or in a fresh process."""

import asyncio
import json
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from msgspec import Struct

_FOLDER: Final = Path(__file__).parent
_LENGTH_BYTES: Final = 4
PATH: Final = shutil.which("node")


class NodeContexts:
    """A long-lived Node that compiles and runs a script in a fresh `vm` context each time."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        """Take a started process; use `open_contexts`."""
        self.pid = process.pid
        self._process = process

    async def run(self, payload: bytes) -> bytes:
        """Send the data and wait for the result."""
        writer, reader = self._process.stdin, self._process.stdout
        if writer is None or reader is None:
            raise RuntimeError("Node has no pipes")
        writer.write(len(payload).to_bytes(_LENGTH_BYTES, "big") + payload)
        length = int.from_bytes(await reader.readexactly(_LENGTH_BYTES), "big")
        return await reader.readexactly(length)


@asynccontextmanager
async def open_contexts(source: bytes) -> AsyncIterator[NodeContexts | None]:
    """Start Node for one script; yield None if it is not installed."""
    if PATH is None:
        yield None
        return
    process = await asyncio.create_subprocess_exec(
        PATH,
        str(_FOLDER / "contexts.js"),
        source.decode(),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield NodeContexts(process)
    finally:
        process.kill()
        await process.communicate()


class NodeRun(Struct, frozen=True, kw_only=True):
    """A run in a fresh Node process: the time inside it, and the whole time."""

    inside_ms: float
    wall_ms: float
    peak_bytes: int
    output: bytes


async def run_whole(source: bytes, payload: bytes) -> NodeRun | None:
    """Start Node, send it the data and wait for its exit; return None if it is not installed."""
    if PATH is None:
        return None
    began_ns = time.perf_counter_ns()
    process = await asyncio.create_subprocess_exec(
        PATH,
        str(_FOLDER / "whole.js"),
        source.decode(),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, details = await process.communicate(payload)
    wall_ms = (time.perf_counter_ns() - began_ns) / 1e6
    if process.returncode != 0:
        message = f"node: {details.decode(errors='replace')[-500:]}"
        raise RuntimeError(message)
    inside = json.loads(details)
    return NodeRun(
        inside_ms=inside["ms"], wall_ms=wall_ms, peak_bytes=inside["peak_kib"] * 1024, output=output
    )
