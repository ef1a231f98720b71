"""Check and parse single lines of JSON.

msgspec checks lines, hundreds of MB a second, and makes no objects. It refuses what JavaScript
accepts: half a surrogate pair. A line that has some is checked in a copy without them.
"""

import json
import re
from collections.abc import Sequence
from typing import Any, Final, NoReturn

import msgspec
import numpy as np

from app.errors import CrivoError
from app.limits import KIB, MAX_NESTING

ANY_JSON: Final = msgspec.json.Decoder(msgspec.Raw).decode
# 8 ms of the standard library's parser, which holds the interpreter's lock, if all are numbers.
MAX_PARSED_BYTES: Final = 32 * KIB
# The escape that stands for half a surrogate pair. No pointer has its character.
HALF: Final = rb"\u0000"

_AT_BYTE: Final = re.compile(r"(?:JSON is malformed: )?(.*) \(byte (\d+)\)")
_NESTED: Final = "nested too deeply"
# The first half of a pair without the second, or the second without the first.
_HALVES: Final = re.compile(
    rb"\\u[dD](?:[89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD])[c-fC-F][0-9a-fA-F]{2})"
)
_ESCAPED_BACKSLASH: Final = rb"\\"
_ESCAPED_QUOTE: Final = rb"\""
# Two of these, which JSON has none of, stand for an escaped backslash.
_CONTROL: Final = b"\x01"
# Every level takes two bytes.
_DEEP_BYTES: Final = 2 * MAX_NESTING
# Bytes of a line whose nesting is measured in one step.
_STEP_BYTES: Final = 64 * KIB
_BACKSLASH, _QUOTE, _OPENING, _CLOSING = b'\\"{}'
# What tells `[` from `{`, and `]` from `}`.
_BRACKET_BIT: Final = 0x20


class RawNumber(str):
    """The text of a JSON number."""

    __slots__ = ()


class InvalidJson(CrivoError):
    """A text that is not JSON; `byte` counts from its beginning."""

    def __init__(self, byte: int, message: str) -> None:
        """Name the place and the reason."""
        super().__init__(message)
        self.byte = byte
        self.message = message


def require_json(line: bytes) -> None:
    """Check a line, but not its nesting. Raises InvalidJson."""
    try:
        ANY_JSON(line)
    except (msgspec.DecodeError, RecursionError) as error:
        without_halves(line, error)


def without_halves(line: bytes, error: Exception) -> bytes:
    """Return a line that msgspec has refused with HALF for each half of a surrogate pair.

    Raises InvalidJson if msgspec refuses that, too.
    """
    reason = error
    if not isinstance(error, RecursionError):
        copy = _replace_halves(line)
        try:
            ANY_JSON(copy)
        except (msgspec.DecodeError, RecursionError) as still:
            reason = still
        else:
            return copy
    if isinstance(reason, RecursionError):
        raise InvalidJson(0, _NESTED) from None
    if len(line) <= MAX_PARSED_BYTES:
        # Raises with a better reason.
        parse_json(line)
    match = _AT_BYTE.fullmatch(str(reason))
    byte, message = (int(match[2]), match[1]) if match else (len(line), "cut off")
    raise InvalidJson(byte, f"not JSON: {message}") from None


def may_nest_deeply(lines: Sequence[bytes]) -> bool:
    """Return whether a line has enough brackets to be nested too deeply."""
    return max(map(len, lines), default=0) > _DEEP_BYTES and any(map(_has_many_brackets, lines))


def require_shallow(line: bytes) -> None:
    """Check the nesting of valid JSON. Raises InvalidJson.

    The limit is our own: that of the interpreter depends on the stack, so a record could be
    accepted by one thread and be too deep for a reader.
    """
    if not _has_many_brackets(line):
        return
    start = depth = 0
    in_string = False
    while start < len(line):
        end = start + _STEP_BYTES
        # An escape is not cut.
        while end < len(line) and line[end - 1] == _BACKSLASH:
            end += 1
        step = line[start:end].replace(_ESCAPED_BACKSLASH, b"  ").replace(_ESCAPED_QUOTE, b"  ")
        content = np.frombuffer(step, np.uint8)
        quotes = content == _QUOTE
        inside = np.logical_xor.accumulate(quotes) ^ in_string
        brackets = content | _BRACKET_BIT
        change = (brackets == _OPENING).astype(np.int8) - (brackets == _CLOSING)
        change[inside] = 0
        depths = np.cumsum(change, dtype=np.int64)
        if depth + int(depths.max()) > MAX_NESTING:
            raise InvalidJson(0, _NESTED)
        depth += int(depths[-1])
        in_string = bool(inside[-1])
        start = end


def parse_json(text: bytes) -> Any:  # noqa: ANN401 - any JSON
    """Parse JSON as JavaScript does, except that numbers keep their text. Raises InvalidJson."""
    try:
        decoded = text.decode()
    except UnicodeDecodeError as error:
        raise InvalidJson(error.start, "not UTF-8") from None
    try:
        return _DECODER.decode(decoded)
    except json.JSONDecodeError as error:
        byte = len(decoded[: error.pos].encode())
        raise InvalidJson(byte, f"not JSON: {error.msg}") from None
    except RecursionError:
        raise InvalidJson(0, _NESTED) from None


def _has_many_brackets(line: bytes) -> bool:
    return len(line) > _DEEP_BYTES and line.count(b"[") + line.count(b"{") > MAX_NESTING


def _replace_halves(line: bytes) -> bytes:
    if _CONTROL in line:
        return line
    escapes = line.replace(_ESCAPED_BACKSLASH, 2 * _CONTROL)
    replaced = _HALVES.sub(HALF.replace(b"\\", _ESCAPED_BACKSLASH), escapes)
    return replaced.replace(2 * _CONTROL, _ESCAPED_BACKSLASH)


def _refuse(constant: str) -> NoReturn:
    raise InvalidJson(0, f"not JSON: {constant}")


_DECODER: Final = json.JSONDecoder(
    parse_int=RawNumber, parse_float=RawNumber, parse_constant=_refuse
)
