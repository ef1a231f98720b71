"""Read the keys of records: many plain ones at once, any other one by one."""

from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from operator import attrgetter
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw
from xxhash import xxh3_64_intdigest

from app.datasets.parts.json_text import (
    ANY_JSON,
    HALF,
    MAX_PARSED_BYTES,
    InvalidJson,
    parse_json,
    without_halves,
)
from app.datasets.parts.keys import (
    HashSeed,
    encode_key,
    first_byte,
    hash_of,
    is_string,
    key_in,
)
from app.datasets.parts.pointers import MAX_ELEMENT, Pointer, element_of, key_of
from app.limits import KIB

# Raised if a line is not plain: its key is missing or of another type, or it is not JSON.
_NOT_PLAIN: Final = (
    msgspec.MsgspecError,
    AttributeError,
    RecursionError,
    TypeError,
    UnicodeDecodeError,
    ValueError,
)
_FIELD: Final = "member"
_OBJECT, _ARRAY = b"{["


class KeyReader:
    """Reads the member of records that a pointer names, and checks them on the way."""

    def __init__(self, pointer: Pointer) -> None:
        """Prepare decoders, which make objects of nothing but the member."""
        self._pointer = pointer
        self._strings = _decoder(pointer, str)
        self._integers = _decoder(pointer, int)
        depth = len(pointer.tokens)
        self._value: Callable[[Any], Any] = (
            attrgetter(".".join([_FIELD] * depth)) if depth else _itself
        )

    def read(self, line: bytes) -> bytes | None:
        """Return the canonical key of one record; None if it has none. Raises InvalidJson."""
        try:
            key: str = self._value(self._strings(line))
            key.encode  # noqa: B018 - UNSET has no such attribute
        except _NOT_PLAIN:
            return self._read_any(line)
        return encode_key(key)

    def key_hash(self, line: bytes, seed: HashSeed) -> int | None:
        """Return the hash of one record's key; None if it has none. Raises InvalidJson."""
        key = self.read(line)
        return None if key is None else hash_of(key, seed)

    def hashes(self, lines: Sequence[bytes], seed: HashSeed) -> list[int] | None:
        """Return the hash of each line's key; None unless all are strings or all integers."""
        value, digest = self._value, xxh3_64_intdigest
        try:
            records = map(self._strings, lines)
            return [digest(value(each).encode(), seed.strings) for each in records]
        except _NOT_PLAIN:
            pass
        try:
            records = map(self._integers, lines)
            return [digest(b"%d" % value(each), seed.numbers) for each in records]
        except _NOT_PLAIN:
            return None

    @cached_property
    def _steps(self) -> list[dict[int, Callable[[Raw], Any]]]:
        """The ways to take each step, which plain lines do not need."""
        return [_step(token) for token in self._pointer.tokens]

    def _read_any(self, line: bytes) -> bytes | None:
        try:
            return self._key_in(line)
        except (msgspec.DecodeError, RecursionError) as error:
            return self._key_in(without_halves(line, error), original=line)

    def _key_in(self, line: bytes, original: bytes | None = None) -> bytes | None:
        """Return the key of a line, or of its `original` with halves of surrogate pairs."""
        value = ANY_JSON(line)
        for step in self._steps:
            decode = step.get(first_byte(value))
            if decode is None:
                return None
            value = decode(value)
            if value is UNSET:
                return None
        if original is not None and is_string(value) and HALF in bytes(value):
            return self._parse_key(original)
        return key_in(value)

    def _parse_key(self, line: bytes) -> bytes | None:
        """Return a key that may have halves of surrogate pairs itself."""
        if len(line) > MAX_PARSED_BYTES:
            raise InvalidJson(
                0,
                "half a surrogate pair, or \\u0000 beside one, in the key of a line longer than "
                f"{MAX_PARSED_BYTES // KIB} KiB",
            )
        return key_of(parse_json(line), self._pointer)


@lru_cache(maxsize=256)
def key_reader(pointer: Pointer) -> KeyReader:
    """Return the reader for a pointer, which takes a moment to prepare."""
    return KeyReader(pointer)


def _decoder(pointer: Pointer, kind: type) -> Callable[[bytes], Any]:
    """Decode only the member that a pointer names: a struct for each token."""
    for token in reversed(pointer.tokens):
        kind = msgspec.defstruct(
            "Record", [(_FIELD, kind, UNSET)], rename={_FIELD: token}, gc=False, frozen=True
        )
    return msgspec.json.Decoder(kind).decode


def _step(token: str) -> dict[int, Callable[[Raw], Any]]:
    """Return the ways to take one step into a value, by the value's first byte."""
    members = _decoder(Pointer((token,)), Raw)
    step = {_OBJECT: lambda value: getattr(members(value), _FIELD)}
    element = element_of(token)
    if element is not None:
        step[_ARRAY] = _element_reader(element)
    return step


@lru_cache(maxsize=MAX_ELEMENT + 1)
def _element_reader(element: int) -> Callable[[Raw], Any]:
    """Return what reads an element of an array; its struct has a field for each before it."""
    names = [f"element_{number}" for number in range(element + 1)]
    array = msgspec.defstruct(
        "Array", [(name, Raw, UNSET) for name in names], array_like=True, gc=False
    )
    elements = msgspec.json.Decoder(array).decode
    return lambda value: getattr(elements(value), names[-1])


def _itself(record: object) -> object:
    return record
