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
from app.exports.bucket_folder import BucketFolder
from app.exports.mounted_folder import MountedFolder
from app.exports.object_folder import ObjectFolder

REACHED: Final = ".reached"


def name_of(url: str) -> str:
    """Return the name of a destination's file."""
    return url.partition("://")[0] + url.rpartition("/")[2]


def let_stall(kind: type[ObjectFolder]) -> None:
    """Let what changes a destination of this kind stall."""
    put_as_it_is, write_as_it_is, delete_as_it_is = kind.put, kind.write, kind.delete

    async def put(self: ObjectFolder, path: str, content: bytes, *, staged: str) -> None:
        await _reach(self, f"before put {path}")
        await put_as_it_is(self, path, content, staged=staged)
        await _reach(self, f"after put {path}")

    async def write(
        self: ObjectFolder, path: str, chunks: AsyncIterator[bytes], *, staged: str
    ) -> None:
        async def stalling() -> AsyncIterator[bytes]:
            async for chunk in chunks:
                yield chunk[:10]
                await _reach(self, f"within write {path}")
                yield chunk[10:]

        await write_as_it_is(self, path, stalling(), staged=staged)
        await _reach(self, f"after write {path}")

    async def delete(self: ObjectFolder, path: str) -> None:
        await delete_as_it_is(self, path)
        await _reach(self, f"after delete {path}")

    kind.put = put  # type: ignore[method-assign]
    kind.write = write  # type: ignore[method-assign]
    kind.delete = delete  # type: ignore[method-assign]


async def _reach(folder: ObjectFolder, step: str) -> None:
    """Stall here, if the test has said so."""
    stall = Path(os.environ["STALLS"]) / name_of(folder.url)
    while stall.exists() and re.fullmatch(stall.read_text(), step):
        stall.with_suffix(REACHED).touch()
        await asyncio.sleep(0.02)


if __name__ == "__main__":
    for each in (BucketFolder, MountedFolder):
        let_stall(each)
    sys.exit(worker.main())
