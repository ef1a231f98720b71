"""Check and parse single lines of JSON.

msgspec checks most lines, hundreds of MB a second, and makes no objects. It refuses what
JavaScript accepts: half a surrogate pair. The standard library decides about what msgspec refuses,
unless the line is long: it would hold the interpreter's lock for too long.
"""

import json
import re
from typing import Any, Final, NoReturn

import msgspec

from app.errors import CrivoError
from app.limits import KIB

# Some ms of the standard library's parser, if all are short numbers.
MAX_SECOND_OPINION_BYTES: Final = 32 * KIB
_AT_BYTE: Final = re.compile(r"(?:JSON is malformed: )?(.*) \(byte (\d+)\)")
_any_json: Final = msgspec.json.Decoder(msgspec.Raw).decode


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
    """Check a line. Raises InvalidJson."""
    try:
        _any_json(line)
    except (msgspec.DecodeError, RecursionError) as error:
        second_opinion(line, error)


def second_opinion(line: bytes, error: Exception) -> Any:  # noqa: ANN401 - any JSON
    """Parse a line that msgspec refuses. Raises InvalidJson."""
    if isinstance(error, RecursionError):
        raise InvalidJson(0, "nested too deeply") from None
    if len(line) <= MAX_SECOND_OPINION_BYTES:
        return parse_json(line)
    match = _AT_BYTE.fullmatch(str(error))
    byte, reason = (int(match[2]), match[1]) if match else (len(line), "cut off")
    raise InvalidJson(byte, f"not JSON: {reason}") from None


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
        raise InvalidJson(0, "nested too deeply") from None


def _refuse(constant: str) -> NoReturn:
    raise InvalidJson(0, f"not JSON: {constant}")


_DECODER: Final = json.JSONDecoder(
    parse_int=RawNumber, parse_float=RawNumber, parse_constant=_refuse
)
