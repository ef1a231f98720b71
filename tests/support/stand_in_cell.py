"""Stand in for a cell: a real process that does nothing, and the other end of its channel."""

import os
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.sandbox.cell_process import Cell, new_channel


@asynccontextmanager
async def open_cell() -> AsyncIterator[tuple[Cell, socket.socket]]:
    """Open a cell whose frames the caller reads and writes."""
    ours, theirs = new_channel()
    stderr_read, stderr_write = os.pipe()
    process = subprocess.Popen(["sleep", "600"])  # noqa: ASYNC220, S607 - a few ms
    os.close(stderr_write)
    cell = Cell(
        pid=process.pid,
        pidfd=os.pidfd_open(process.pid),
        channel=ours,
        stderr_fd=stderr_read,
    )
    try:
        with theirs:
            yield cell, theirs
    finally:
        cell.close()
        process.wait()
