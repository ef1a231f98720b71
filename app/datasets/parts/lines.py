"""Check the lines of a frame, and find the keys of its records."""

import re
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final, Protocol, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct

from app.datasets.parts.frames import FRAME_BYTES
from app.datasets.parts.json_text import (
    ANY_JSON,
    InvalidJson,
    may_nest_deeply,
    require_json,
    require_shallow,
)
from app.datasets.parts.key_reader import KeyReader, key_reader
from app.datasets.parts.keys import HashSeed
from app.datasets.parts.model import BadLine, Format
from app.datasets.parts.pointers import Pointer
from app.limits import KIB

T = TypeVar("T")
Hashes = npt.NDArray[np.uint64]
Offsets = npt.NDArray[np.uint32]

_NEWLINE: Final = 10
_NOT_BLANK: Final = re.compile(rb"[^ \t\r\n]")
# Decoded text takes up to four bytes a character, and holds the interpreter's lock.
_DECODED_BYTES: Final = 64 * KIB
_Decoder: Final = getincrementaldecoder("utf-8")


class Place(Struct, frozen=True):
    """The position of a frame in its part: bytes and lines before it."""

    byte: int
    line: int


class Checked(Struct, frozen=True, kw_only=True):
    """Counts of a frame, and the hash and the part's offset of each record with a key."""

    lines: int
    records: int
    missing_keys: int = 0
    hashes: Hashes | None = None
    offsets: Offsets | None = None


class LineCheck(Protocol):
    """Checks one frame. Raises BadLine."""

    def __call__(self, frame: bytes, place: Place) -> Checked:
        """Check the lines of `frame`."""


def line_check(content: Format, key: Pointer | None, seed: HashSeed) -> LineCheck:
    """Return the check of a format; only `jsonl` has keys."""
    match content:
        case Format.BYTES:
            return _count_nothing
        case Format.TEXT | Format.CSV:
            return _check_text
        case Format.JSONL if key is None:
            return _check_json
        case Format.JSONL:
            return _KeyedJson(key_reader(key), seed)


def _count_nothing(frame: bytes, place: Place) -> Checked:  # noqa: ARG001 - a LineCheck
    return Checked(lines=0, records=0)


def _check_text(frame: bytes, place: Place) -> Checked:
    at = _first_undecodable(frame)
    if at is not None:
        raise BadLine(
            line=place.line + frame.count(b"\n", 0, at) + 1,
            byte=place.byte + at,
            message="not UTF-8",
        )
    lines = frame.count(b"\n") + (not frame.endswith(b"\n"))
    return Checked(lines=lines, records=lines)


def _first_undecodable(frame: bytes) -> int | None:
    if frame.isascii():
        return None
    decoder = _Decoder()
    for start in range(0, len(frame), _DECODED_BYTES):
        end = start + _DECODED_BYTES
        cut_off = len(decoder.getstate()[0])
        try:
            decoder.decode(frame[start:end], final=end >= len(frame))
        except UnicodeDecodeError as error:
            return start - cut_off + error.start
    return None


def _check_json(frame: bytes, place: Place) -> Checked:
    counted = _check_text(frame, place)
    lines = _lines_of(frame)
    if not may_nest_deeply(lines):
        try:
            for _ in map(ANY_JSON, lines):
                pass
        except (msgspec.MsgspecError, RecursionError):
            pass
        else:
            return counted
    records = sum(1 for _ in _read_each(lines, place, require_json))
    return Checked(lines=counted.lines, records=records)


class _KeyedJson:
    def __init__(self, reader: KeyReader, seed: HashSeed) -> None:
        self._hashes = partial(reader.hashes, seed=seed)
        self._key_hash = partial(reader.key_hash, seed=seed)

    def __call__(self, frame: bytes, place: Place) -> Checked:
        counted = _check_text(frame, place)
        lines = _lines_of(frame)
        hashes = None if may_nest_deeply(lines) else self._hashes(lines)
        if hashes is not None:
            return Checked(
                lines=counted.lines,
                records=counted.lines,
                hashes=np.array(hashes, np.uint64),
                offsets=_line_starts(frame, place),
            )
        return self._check_each(lines, place)

    def _check_each(self, lines: Sequence[bytes], place: Place) -> Checked:
        keys, offsets, records = [], [], 0
        for offset, key in _read_each(lines, place, self._key_hash):
            records += 1
            if key is not None:
                keys.append(key)
                offsets.append(offset)
        return Checked(
            lines=len(lines),
            records=records,
            missing_keys=records - len(keys),
            hashes=np.array(keys, np.uint64),
            offsets=np.array(offsets, np.uint32),
        )


def _read_each(
    lines: Sequence[bytes], place: Place, read: Callable[[bytes], T]
) -> Iterator[tuple[int, T]]:
    """Yield the offset and what `read` returns of each line that is not blank."""
    offset = place.byte
    for number, line in enumerate(lines, place.line + 1):
        if _NOT_BLANK.search(line):
            try:
                found = read(line)
                require_shallow(line)
            except InvalidJson as error:
                raise BadLine(
                    line=number, byte=offset + error.byte, message=error.message
                ) from None
            yield offset, found
        offset += len(line) + 1


def _lines_of(frame: bytes) -> list[bytes]:
    if _is_one_line(frame):
        # Not copied without its line break, which is blank.
        return [frame]
    lines = frame.split(b"\n")
    if not lines[-1]:
        lines.pop()
    return lines


def _line_starts(frame: bytes, place: Place) -> Offsets:
    if _is_one_line(frame):
        return np.array([place.byte], np.uint32)
    breaks = np.flatnonzero(np.frombuffer(frame, np.uint8) == _NEWLINE)
    starts = np.concatenate(([0], breaks + 1))
    return (starts[starts < len(frame)] + place.byte).astype(np.uint32)


def _is_one_line(frame: bytes) -> bool:
    """Return whether a frame is longer than those that are cut at the ends of lines."""
    return len(frame) > FRAME_BYTES
