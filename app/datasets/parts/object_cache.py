"""Read ranges of objects through a bounded cache."""

import asyncio
import os
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from app.blobs import Blobs
from app.datasets.parts.segments import Read, require_checksum
from app.limits import KIB, MIB

DEFAULT_CACHE_BYTES: Final = 32 * MIB
# One value takes at most this share of the cache.
_MAX_SHARE: Final = 8
# More is never read on the event loop: copying it takes as long as a thread takes to wake up.
_MAX_INSTANT_BYTES: Final = 256 * KIB
# Memory of an entry beside its value.
_ENTRY_BYTES: Final = 256


class ObjectCache:
    """Parts of immutable objects that one process has read, the most recently used ones."""

    def __init__(self, blobs: Blobs, *, max_bytes: int = DEFAULT_CACHE_BYTES) -> None:
        """Keep at most `max_bytes`."""
        self.blobs = blobs
        self._max_bytes = max_bytes
        self._values: OrderedDict[object, tuple[Any, int]] = OrderedDict()
        self._size = 0
        # Unknown until the first read of a file that exists.
        self._without_waiting: bool | None = None

    @property
    def size_bytes(self) -> int:
        """About how much memory the cache takes."""
        return self._size

    def get(self, key: object) -> Any:  # noqa: ANN401 - each caller has keys and values of its own
        """Return a value, None if it is not kept."""
        found = self._values.get(key)
        if found is None:
            return None
        self._values.move_to_end(key)
        return found[0]

    def put(self, key: object, value: object, size_bytes: int) -> None:
        """Keep a value, if it leaves room for others."""
        size = size_bytes + _ENTRY_BYTES
        if size > self._max_bytes // _MAX_SHARE or key in self._values:
            return
        self._values[key] = (value, size)
        self._size += size
        while self._size > self._max_bytes:
            _, (_, freed) = self._values.popitem(last=False)
            self._size -= freed

    def at_hand(self, read: Read) -> bytes | None:
        """Return a range if that takes no time: it is kept, or the system has it in memory.

        Raises ObjectDamaged.
        """
        content: bytes | None = self.get(read)
        if content is None:
            content = self._in_page_cache(read)
            if content is not None:
                self._keep(read, content)
        return content

    async def read(self, read: Read) -> bytes:
        """Return a range and keep it. Raises BlobMissing, BlobsUnavailable, ObjectDamaged."""
        content = self.at_hand(read)
        if content is None:
            content = await self._fetch(read)
            self._keep(read, content)
        return content

    async def pass_through(self, read: Read) -> bytes:
        """Return a range without keeping it. Raises BlobMissing, BlobsUnavailable."""
        content = self._in_page_cache(read)
        return await self._fetch(read) if content is None else content

    async def _fetch(self, read: Read) -> bytes:
        if read.start == read.end:
            return b""
        if self._without_waiting is None:
            self._without_waiting = await self._can_read_without_waiting(read.key)
        return await read_object_range(self.blobs, read.key, read.start, read.end)

    async def _can_read_without_waiting(self, key: str) -> bool | None:
        folder = self.blobs.folder
        if folder is None:
            return False
        return await asyncio.to_thread(_can_read_without_waiting, folder / key)

    def _in_page_cache(self, read: Read) -> bytes | None:
        folder = self.blobs.folder
        if folder is None or not self._without_waiting:
            return None
        if read.end - read.start > _MAX_INSTANT_BYTES:
            return None
        with suppress(OSError):
            return _read_without_waiting(folder / read.key, read.start, read.end)
        return None

    def _keep(self, read: Read, content: bytes) -> None:
        require_checksum(content, read.checksum)
        self.put(read, content, len(content))


async def read_object_range(blobs: Blobs, key: str, start: int, end: int) -> bytes:
    """Return a range of an object. Raises BlobMissing, BlobsUnavailable."""
    return b"".join([chunk async for chunk in blobs.read(key, start=start, end=end)])


def _can_read_without_waiting(path: Path) -> bool | None:
    """Return whether the file system can read only what is in memory; None without the file.

    Those that cannot, as of a network, may also take their time to open a file.
    """
    try:
        _read_without_waiting(path, 0, 1)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        # Deleted meanwhile: another file will tell.
        return None
    except (OSError, AttributeError):
        return False
    return True


def _read_without_waiting(path: Path, start: int, end: int) -> bytes | None:
    """Read from memory; None if only some of it is there. Raises BlockingIOError if none is."""
    content = bytearray(end - start)
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.preadv(descriptor, [content], start, os.RWF_NOWAIT)
    finally:
        os.close(descriptor)
    return bytes(content) if size == len(content) else None
