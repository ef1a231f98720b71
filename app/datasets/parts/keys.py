r"""Define keys of records: strings and numbers, their canonical bytes and their hashes.

A string is compared decoded, so `"\u0061"` is `"a"`. A number is compared by its text, so that no
digit is lost: `1` and `1.0` are two keys, and neither is the string `"1"`. Only `-0` is `0`.
"""

import json
from typing import Any, Final, NoReturn

from msgspec import Struct
from xxhash import xxh3_64_intdigest

from app.errors import CrivoError

# The canonical bytes of a string begin with this; no number does.
_STRING: Final = b'"'
# More than the index of any element has.
_MAX_DIGITS: Final = 9
STRING_SEED: Final = 1
NUMBER_SEED: Final = 2


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


class Pointer(Struct, frozen=True):
    """A JSON pointer: the path from a record to a member of it."""

    tokens: tuple[str, ...]


def parse_pointer(text: str) -> Pointer:
    """Parse a JSON pointer (RFC 6901). Raises ValueError."""
    if text and not text.startswith("/"):
        raise ValueError("a JSON pointer is empty or begins with /")
    if "~" in text.replace("~0", "").replace("~1", ""):
        raise ValueError("in a JSON pointer, ~ is followed by 0 or 1")
    tokens = (each.replace("~1", "/").replace("~0", "~") for each in text.split("/")[1:])
    return Pointer(tuple(tokens))


def encode_key(key: str) -> bytes:
    """Return the canonical bytes of a string, or of a RawNumber."""
    if isinstance(key, RawNumber):
        return b"0" if key == "-0" else key.encode()
    # JSON can escape half a surrogate pair, which has no UTF-8.
    return _STRING + key.encode(errors="surrogatepass")


def parse_key(text: bytes) -> bytes:
    """Return the canonical bytes of a key given as JSON. Raises ValueError."""
    try:
        key = key_of(parse_json(text), Pointer(()))
    except InvalidJson as error:
        raise ValueError(f"not JSON: {error.message}") from None
    if key is None:
        raise ValueError("a key is a string or a number")
    return key


def hash_of(key: bytes) -> int:
    """Return the 64-bit hash by which the index orders keys. It must never change."""
    if key.startswith(_STRING):
        return xxh3_64_intdigest(key[1:], STRING_SEED)
    return xxh3_64_intdigest(key, NUMBER_SEED)


def key_of(value: Any, pointer: Pointer) -> bytes | None:  # noqa: ANN401 - any JSON
    """Return the canonical key of a record from `parse_json`; None if it has none."""
    for token in pointer.tokens:
        if isinstance(value, dict):
            value = value.get(token)
        elif isinstance(value, list):
            value = _element(value, token)
        else:
            return None
    return encode_key(value) if isinstance(value, str) else None


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


def _element(values: list[Any], token: str) -> object:
    # An index has no leading zero (RFC 6901).
    if not (token.isascii() and token.isdigit()) or (token[0] == "0" and len(token) > 1):
        return None
    return values[int(token)] if len(token) <= _MAX_DIGITS and int(token) < len(values) else None


def _refuse(constant: str) -> NoReturn:
    raise InvalidJson(0, f"not JSON: {constant}")


_DECODER: Final = json.JSONDecoder(
    parse_int=RawNumber, parse_float=RawNumber, parse_constant=_refuse
)
