"""Bodies of requests: bytes, JSON values, files and streams."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeAlias, TypeGuard

import msgspec

# Bytes are sent as they are, and so are a file's: a Path, an open binary file, or an iterator of
# chunks. Anything else is a value that is written as JSON, also a `str`.
Data: TypeAlias = (
    bytes | bytearray | memoryview | Path | BinaryIO | Iterator[bytes] | AsyncIterator[bytes] | Any
)

_CHUNK_BYTES: Final = 256 * 1024


class BodyUsed(Exception):
    """A stream can be sent only once, and it was sent before."""


class Body:
    """A request's body, which is read in chunks; `size` is None if it is unknown."""

    def __init__(self, data: Data) -> None:
        """Take the data. Raises TypeError, also for a text file, and ValueError."""
        self._content: bytes | None = None
        self._path: Path | None = None
        self._file: BinaryIO | None = None
        self._stream: Iterator[bytes] | AsyncIterator[bytes] | None = None
        self._start = 0
        self.size: int | None = None
        if isinstance(data, bytes | bytearray | memoryview):
            self._content = bytes(data)
        elif isinstance(data, Path):
            self._path = data
            self.size = data.stat().st_size if data.is_file() else None
        elif isinstance(data, io.TextIOBase):
            raise TypeError("a text file: open it in binary mode")
        elif _is_binary_file(data):
            self._file = data
            self._start, self.size = _extent(data)
        elif isinstance(data, Iterator | AsyncIterator):
            self._stream = data
        else:
            self._content = encode(data)
        if self._content is not None:
            self.size = len(self._content)
        self._used = False

    @property
    def content(self) -> bytes | None:
        """The whole body, if it is in memory."""
        return self._content

    @property
    def is_async(self) -> bool:
        """Whether only an AsyncCrivo can send it."""
        return isinstance(self._stream, AsyncIterator)

    @property
    def replayable(self) -> bool:
        """Whether it can be sent again."""
        if self._content is not None:
            return True
        if self._path is not None:
            return self.size is not None
        return self._file is not None and self.size is not None

    @property
    def available(self) -> bool:
        """Whether it can be sent now."""
        return self.replayable or not self._used

    def chunks(self) -> Iterator[bytes]:
        """Read it from its start. Raises BodyUsed if that is not possible, and OSError."""
        if self._content is not None:
            yield self._content
            return
        if self._used and not self.replayable:
            raise BodyUsed
        self._used = True
        if self._path is not None:
            with self._path.open("rb") as file:
                yield from iter(lambda: file.read(_CHUNK_BYTES), b"")
        elif self._file is not None:
            if self.size is not None:
                self._file.seek(self._start)
            reader = self._file
            yield from iter(lambda: reader.read(_CHUNK_BYTES), b"")
        elif isinstance(self._stream, Iterator):
            yield from self._stream
        else:
            raise TypeError("an asynchronous iterator needs AsyncCrivo")

    async def achunks(self) -> AsyncIterator[bytes]:
        """Read it as `chunks` does; files are read in a thread."""
        if isinstance(self._stream, AsyncIterator):
            if self._used:
                raise BodyUsed
            self._used = True
            async for chunk in self._stream:
                yield chunk
            return
        chunks = self.chunks()
        # An empty chunk is no end.
        while (part := await asyncio.to_thread(next, chunks, None)) is not None:
            yield part


def encode(value: object) -> bytes:
    """Write a value as JSON. Raises TypeError, and ValueError for NaN and infinities."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"), default=_plain)
    return text.encode("ascii")


def _plain(value: object) -> object:
    """Convert dates, UUIDs, structs and dataclasses."""
    plain = msgspec.to_builtins(value)
    if plain is value:
        raise TypeError(f"{type(value).__name__} has no JSON form")
    return plain


def _is_binary_file(data: object) -> TypeGuard[BinaryIO]:
    # tempfile's wrappers and rich's progress readers are no io classes.
    return callable(getattr(data, "read", None))


def _extent(file: Any) -> tuple[int, int | None]:  # noqa: ANN401 - any binary file
    """Return a file's position and the bytes after it; None: it cannot be read twice."""
    try:
        if not file.seekable():
            return 0, None
        start = file.tell()
        end = file.seek(0, io.SEEK_END)
        file.seek(start)
    except (AttributeError, OSError, ValueError):
        return 0, None
    return start, end - start
