"""Read the parts of files that must not change meanwhile."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from crivo.cutting import Span
from crivo.folders import SourceFile, state_of


class FileChanged(Exception):
    """A file is not the one that was found before."""


@contextmanager
def open_unchanged(file: SourceFile) -> Iterator[BinaryIO]:
    """Open a file that is still the one that was found. Raises FileChanged, OSError."""
    try:
        handle: BinaryIO = file.path.open("rb", buffering=0)
    except FileNotFoundError:
        raise FileChanged from None
    with handle:
        if state_of(os.fstat(handle.fileno())) != file.state:
            raise FileChanged
        yield handle


def read_span(handle: BinaryIO, span: Span) -> bytes:
    """Read one part of an open file. Raises FileChanged if the file ends before."""
    content = bytearray(span.size)
    handle.seek(span.start)
    view, filled = memoryview(content), 0
    while filled < span.size:
        count = handle.readinto(view[filled:])  # type: ignore[attr-defined] # a raw file
        if not count:
            raise FileChanged
        filled += count
    view.release()
    return bytes(content)
