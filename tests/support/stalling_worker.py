"""Run a worker whose destinations stall at a step of publishing, for as long as a test wants.

The folder `STALLS` has a file for each destination that is to stall, with the name of `name_of` and
a pattern of the step, such as `after put _crivo/.*` or `within write .*`. A second file says that
it stalls. It goes on once the first is gone. The worker is a real one otherwise: its leases are
renewed meanwhile, and the test kills it.
"""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from app import worker
from app.exports.object_folder import ObjectFolder

REACHED: Final = ".reached"
_put, _write, _delete = ObjectFolder.put, ObjectFolder.write, ObjectFolder.delete


def name_of(url: str) -> str:
    """Return the name of a destination's file."""
    return url.partition("://")[0] + url.rpartition("/")[2]


async def put(self: ObjectFolder, path: str, content: bytes) -> None:
    await _reach(self, f"before put {path}")
    await _put(self, path, content)
    await _reach(self, f"after put {path}")


async def write(
    self: ObjectFolder, path: str, chunks: AsyncIterator[bytes], *, staged: str
) -> None:
    async def stalling() -> AsyncIterator[bytes]:
        async for chunk in chunks:
            yield chunk[:10]
            await _reach(self, f"within write {path}")
            yield chunk[10:]

    await _write(self, path, stalling(), staged=staged)


async def delete(self: ObjectFolder, path: str) -> None:
    await _delete(self, path)
    await _reach(self, f"after delete {path}")


async def _reach(folder: ObjectFolder, step: str) -> None:
    """Stall here, if the test has said so."""
    stall = Path(os.environ["STALLS"]) / name_of(folder.url)
    while stall.exists() and re.fullmatch(stall.read_text(), step):
        stall.with_suffix(REACHED).touch()
        await asyncio.sleep(0.02)


if __name__ == "__main__":
    ObjectFolder.put = put  # type: ignore[method-assign]
    ObjectFolder.write = write  # type: ignore[method-assign]
    ObjectFolder.delete = delete  # type: ignore[method-assign]
    sys.exit(worker.main())
