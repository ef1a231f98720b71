"""Define parts, segments of the key index, and the errors of both."""

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct

from app.blobs import BlobLost
from app.errors import CrivoError


class Format(StrEnum):
    """The content of a dataset's files, which decides how a part is checked.

    Every line of `jsonl` is JSON, or blank. `text` and `csv` are lines of UTF-8; a line break
    inside a quoted field of CSV counts as the end of a line. `bytes` are not checked.
    """

    JSONL = "jsonl"
    TEXT = "text"
    CSV = "csv"
    BYTES = "bytes"


class BadLine(CrivoError):
    """A line that the format does not allow.

    `line` counts from 1 and `byte` from 0, both from the beginning of the part.
    """

    def __init__(self, *, line: int, byte: int, message: str) -> None:
        """Name the place and the reason."""
        super().__init__(f"line {line}, byte {byte}: {message}")
        self.line = line
        self.byte = byte
        self.message = message


class PartTooLarge(CrivoError):
    """A part has more raw bytes, or more records, than a part can have."""

    def __init__(self, limit: str) -> None:
        """Name the limit."""
        super().__init__(f"a part has at most {limit}")


class LineTooSlow(CrivoError):
    """A long line has taken its time to arrive while long lines of other uploads waited."""

    def __init__(self, seconds: float) -> None:
        """Name the limit."""
        super().__init__(
            f"a long line has arrived for more than {seconds:.0f} seconds while those of other "
            "uploads waited; nothing of the part is kept, send it again"
        )


class CollidingKeys(CrivoError):
    """Many different keys of a part have one hash, as only an attempt to slow lookups makes."""

    def __init__(self, limit: int) -> None:
        """Name the limit."""
        super().__init__(f"more than {limit} different keys of the part have the same hash")


class SliceTooLarge(CrivoError):
    """The hashes of an index are so uneven that a merge would take too much memory."""

    def __init__(self, entries: int, limit: int) -> None:
        """Name the size and the limit."""
        super().__init__(f"a slice of the index has {entries} entries, and may have {limit}")


class ObjectDamaged(BlobLost):
    """A stored object is not what was written: a checksum or a size does not match."""


class StoredPart(Struct, frozen=True, kw_only=True):
    """A part as it was stored.

    `sha256` is that of its raw bytes. `records` are lines of `text` and `csv`, and those of
    `jsonl` that are not blank. Of the records with a key, `duplicates` are replaced by a later
    one of the same part. `index_bytes` is 0 if there is no index: without a key to index, no
    object is written.
    """

    raw_bytes: int
    stored_bytes: int
    index_bytes: int
    sha256: bytes
    lines: int
    records: int
    missing_keys: int
    duplicates: int
    ends_line: bool


class PartRef(Struct, frozen=True, kw_only=True):
    """A stored part, as its reader needs it."""

    blob_key: str
    raw_bytes: int
    stored_bytes: int


class SegmentRef(Struct, frozen=True, kw_only=True):
    """An index object: that of one part, or one merged of several.

    Parts are ordered by `sequence`; of two records with a key, the one with the higher sequence
    is newer. The index of one part is written before its sequence is known, so the reference
    holds it; it is None for a merged segment, which holds the sequences itself.
    """

    blob_key: str
    stored_bytes: int
    sequence: int | None = None


class MergedSegment(Struct, frozen=True, kw_only=True):
    """A segment as it was merged; without entries, no object was written.

    `duplicates` counts, by sequence, the records that a later part of the same file replaces.
    """

    entries: int
    stored_bytes: int
    first_sequence: int
    last_sequence: int
    duplicates: Mapping[int, int]


class Hit(Struct, frozen=True, kw_only=True):
    """A record with the key, where it is, and its line without the line break."""

    sequence: int
    offset: int
    line: bytes
