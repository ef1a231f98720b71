"""Check the lines of a frame, and find the keys of its records."""

from collections.abc import Callable, Iterator
from typing import Final, Protocol, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct

from app.datasets.parts.json_text import InvalidJson, require_json
from app.datasets.parts.key_reader import KeyReader, key_reader
from app.datasets.parts.model import BadLine, Format
from app.datasets.parts.pointers import Pointer
from app.limits import KIB

Read = TypeVar("Read")
Hashes = npt.NDArray[np.uint64]
Offsets = npt.NDArray[np.uint32]

_NEWLINE: Final = 10
_BLANK: Final = b" \t\r"
_QUOTE, _ARRAY, _OBJECT = b'"[{'
# Far less than what the interpreter's stack has room for, wherever a line is read.
MAX_DEPTH: Final = 500
_DEPTH_STEP_BYTES: Final = 512 * KIB
_any_json: Final = msgspec.json.Decoder(msgspec.Raw).decode


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


def line_check(content: Format, key: Pointer | None) -> LineCheck:
    """Return the check of a format; only `jsonl` has keys."""
    match content:
        case Format.BYTES:
            return _count_nothing
        case Format.TEXT | Format.CSV:
            return _check_text
        case Format.JSONL if key is None:
            return _check_json
        case Format.JSONL:
            return _KeyedJson(key_reader(key))


def _count_nothing(frame: bytes, place: Place) -> Checked:  # noqa: ARG001 - a LineCheck
    return Checked(lines=0, records=0)


def _check_text(frame: bytes, place: Place) -> Checked:
    try:
        frame.decode()
    except UnicodeDecodeError as error:
        raise BadLine(
            line=place.line + frame.count(b"\n", 0, error.start) + 1,
            byte=place.byte + error.start,
            message="not UTF-8",
        ) from None
    lines = frame.count(b"\n") + (not frame.endswith(b"\n"))
    return Checked(lines=lines, records=lines)


def _check_json(frame: bytes, place: Place) -> Checked:
    counted = _check_text(frame, place)
    lines = _lines_of(frame)
    _refuse_deep(frame, lines, place)
    try:
        for _ in map(_any_json, lines):
            pass
    except (msgspec.MsgspecError, RecursionError):
        records = sum(1 for _ in _read_each(lines, place, require_json))
        return Checked(lines=counted.lines, records=records)
    return counted


class _KeyedJson:
    def __init__(self, reader: KeyReader) -> None:
        self._reader = reader

    def __call__(self, frame: bytes, place: Place) -> Checked:
        counted = _check_text(frame, place)
        lines = _lines_of(frame)
        _refuse_deep(frame, lines, place)
        hashes = self._reader.hashes(lines)
        if hashes is not None:
            return Checked(
                lines=counted.lines,
                records=counted.lines,
                hashes=np.array(hashes, np.uint64),
                offsets=_line_starts(frame, place),
            )
        return self._check_each(lines, place)

    def _check_each(self, lines: list[bytes], place: Place) -> Checked:
        keys, offsets, records = [], [], 0
        for offset, key in _read_each(lines, place, self._reader.key_hash):
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
    lines: list[bytes], place: Place, read: Callable[[bytes], Read]
) -> Iterator[tuple[int, Read]]:
    """Yield the offset and what `read` returns of each line that is not blank."""
    offset = place.byte
    for number, line in enumerate(lines, place.line + 1):
        if line.strip(_BLANK):
            try:
                yield offset, read(line)
            except InvalidJson as error:
                raise BadLine(
                    line=number, byte=offset + error.byte, message=error.message
                ) from None
        offset += len(line) + 1


def _refuse_deep(frame: bytes, lines: list[bytes], place: Place) -> None:
    """Refuse what is nested too deeply, at a fixed depth: a lookup has less stack than a check."""
    if _brackets(frame) <= MAX_DEPTH:
        return
    offset = place.byte
    for number, line in enumerate(lines, place.line + 1):
        # Each level has two brackets.
        if len(line) > 2 * MAX_DEPTH and _brackets(line) > MAX_DEPTH and depth_of(line) > MAX_DEPTH:
            raise BadLine(
                line=number, byte=offset, message=f"nested more than {MAX_DEPTH} levels deep"
            )
        offset += len(line) + 1


def _brackets(text: bytes) -> int:
    return text.count(b"[") + text.count(b"{")


def depth_of(line: bytes) -> int:
    """Return how deep a line of JSON is nested."""
    if b"\\" in line:
        line = line.replace(b"\\\\", b"__").replace(b'\\"', b"__")
    deepest = depth = quotes = 0
    for start in range(0, len(line), _DEPTH_STEP_BYTES):
        size = min(_DEPTH_STEP_BYTES, len(line) - start)
        content = np.frombuffer(line, np.uint8, size, start)
        quoted = np.cumsum(content == _QUOTE, dtype=np.int32) + quotes
        opening = (content == _ARRAY) | (content == _OBJECT)
        # `]` and `}` are two after `[` and `{`.
        closing = (content == _ARRAY + 2) | (content == _OBJECT + 2)
        steps = opening.astype(np.int8) - closing
        depths = np.cumsum(steps[(steps != 0) & (quoted & 1 == 0)], dtype=np.int32) + depth
        quotes = int(quoted[-1])
        if len(depths):
            deepest, depth = max(deepest, int(depths.max())), int(depths[-1])
    return deepest


def _lines_of(frame: bytes) -> list[bytes]:
    lines = frame.split(b"\n")
    if not lines[-1]:
        lines.pop()
    return lines


def _line_starts(frame: bytes, place: Place) -> Offsets:
    breaks = np.flatnonzero(np.frombuffer(frame, np.uint8) == _NEWLINE)
    starts = np.concatenate(([0], breaks + 1))
    return (starts[starts < len(frame)] + place.byte).astype(np.uint32)
