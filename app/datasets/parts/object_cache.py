"""Read ranges of objects through a bounded cache."""

import os
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from app.blobs import Blobs
from app.datasets.parts.runs import Read, require_checksum
from app.limits import MIB

DEFAULT_CACHE_BYTES: Final = 32 * MIB
# One value takes at most this share of the cache.
_MAX_SHARE: Final = 8
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
            content = await read_range(self.blobs, read.key, read.start, read.end)
            self._keep(read, content)
        return content

    async def pass_through(self, read: Read) -> bytes:
        """Return a range without keeping it. Raises BlobMissing, BlobsUnavailable."""
        content = self._in_page_cache(read)
        if content is None:
            content = await read_range(self.blobs, read.key, read.start, read.end)
        return content

    def _in_page_cache(self, read: Read) -> bytes | None:
        folder = self.blobs.folder
        return None if folder is None else _without_waiting(folder / read.key, read)

    def _keep(self, read: Read, content: bytes) -> None:
        require_checksum(content, read.checksum)
        self.put(read, content, len(content))


async def read_range(blobs: Blobs, key: str, start: int, end: int) -> bytes:
    """Return a range of an object. Raises BlobMissing, BlobsUnavailable."""
    return b"".join([chunk async for chunk in blobs.read(key, start=start, end=end)])


def _without_waiting(path: Path, read: Read) -> bytes | None:
    """Read a file without waiting for its disk; None if that cannot be."""
    content = bytearray(read.end - read.start)
    # Without the flag (not Linux), or with a file system that does not know it, the range is read
    # in a thread.
    with suppress(OSError, AttributeError):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if os.preadv(descriptor, [content], read.start, os.RWF_NOWAIT) == len(content):
                return bytes(content)
        finally:
            os.close(descriptor)
    return None
