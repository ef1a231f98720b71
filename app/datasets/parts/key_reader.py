"""Read the keys of records: many plain ones at once, any other exactly."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final

import msgspec
from msgspec import UNSET
from xxhash import xxh3_64_intdigest

from app.datasets.parts.keys import (
    NUMBER_SEED,
    STRING_SEED,
    Pointer,
    encode_key,
    hash_of,
    key_of,
    parse_json,
)

# Raised if a line is not plain: its key is missing or of another type, or it is not JSON, or JSON
# that the decoder refuses (half a surrogate pair).
_NOT_PLAIN: Final = (
    msgspec.MsgspecError,
    AttributeError,
    RecursionError,
    TypeError,
    UnicodeDecodeError,
    ValueError,
)
# A field's name cannot hold these.
_UNUSABLE: Final = frozenset('"\\') | frozenset(map(chr, range(32)))
_FIELD: Final = "member"


class KeyReader:
    """Reads the member of records that a pointer names."""

    def __init__(self, pointer: Pointer) -> None:
        """Prepare decoders for records whose key is a string, and for those of an integer."""
        self._pointer = pointer
        self._strings = _decoder(pointer, str)
        self._integers = _decoder(pointer, int)
        depth = len(pointer.tokens)
        self._member: Callable[[Any], Any] = (
            attrgetter(".".join([_FIELD] * depth)) if depth else _itself
        )

    def read(self, line: bytes) -> bytes | None:
        """Return the canonical key of one record; None if it has none. Raises InvalidJson."""
        if self._strings is not None:
            try:
                key: str = self._member(self._strings(line))
                key.encode  # noqa: B018 - UNSET has no such attribute
            except _NOT_PLAIN:
                pass
            else:
                return encode_key(key)
        return key_of(parse_json(line), self._pointer)

    def key_hash(self, line: bytes) -> int | None:
        """Return the hash of one record's key; None if it has none. Raises InvalidJson."""
        key = self.read(line)
        return None if key is None else hash_of(key)

    def hashes(self, lines: Sequence[bytes]) -> list[int] | None:
        """Return the hash of each line's key; None unless all are strings or all integers."""
        if self._strings is None or self._integers is None:
            return None
        member, digest = self._member, xxh3_64_intdigest
        try:
            records = map(self._strings, lines)
            return [digest(member(each).encode(), STRING_SEED) for each in records]
        except _NOT_PLAIN:
            pass
        try:
            records = map(self._integers, lines)
            return [digest(b"%d" % member(each), NUMBER_SEED) for each in records]
        except _NOT_PLAIN:
            return None


@lru_cache(maxsize=256)
def key_reader(pointer: Pointer) -> KeyReader:
    """Return the reader for a pointer, which takes a moment to prepare."""
    return KeyReader(pointer)


def _decoder(pointer: Pointer, kind: type) -> Callable[[bytes], Any] | None:
    """Decode only the member, in a struct for each token; None if a token cannot be a field."""
    if any(_UNUSABLE & set(token) for token in pointer.tokens):
        return None
    for token in reversed(pointer.tokens):
        kind = msgspec.defstruct(
            "Record", [(_FIELD, kind, UNSET)], rename={_FIELD: token}, gc=False, frozen=True
        )
    return msgspec.json.Decoder(kind).decode


def _itself(record: object) -> object:
    return record
