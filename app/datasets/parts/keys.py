r"""Define keys of records: strings and numbers, their canonical bytes and their hashes.

A string is compared decoded, so `"\u0061"` is `"a"`. A number is compared by its text, so that no
digit is lost: `1` and `1.0` are two keys, and neither is the string `"1"`. Only `-0` is `0`.
"""

from hashlib import sha256
from struct import Struct as Layout
from typing import Final, Self

import msgspec
from xxhash import xxh3_64_intdigest

from app.datasets.parts.json_text import ANY_JSON, InvalidJson, RawNumber, parse_json

# The canonical bytes of a string begin with this; no number does.
_STRING: Final = b'"'
# Of a digest: the seeds of strings and of numbers, and the check value.
_SEEDS: Final = Layout("<QQI")
_BLANK: Final = b" \t\r\n"
_NUMBER: Final = frozenset(b"-0123456789")
_decode_string: Final = msgspec.json.Decoder(str).decode


class HashSeed(msgspec.Struct, frozen=True, gc=False):
    """The secret by which a dataset hashes keys, so that nobody can choose keys by their hashes.

    Strings and numbers have seeds of their own. `check` tells seeds apart, and is no secret.
    """

    strings: int
    numbers: int
    check: int

    @classmethod
    def of(cls, secret: int) -> Self:
        """Derive the seeds of a dataset. They must never change."""
        digest = sha256(secret.to_bytes(8, "little")).digest()
        return cls(*_SEEDS.unpack_from(digest))

    def __repr__(self) -> str:
        """Hide the secret."""
        return "HashSeed(…)"


def encode_key(key: str) -> bytes:
    """Return the canonical bytes of a string, or of a RawNumber."""
    if isinstance(key, RawNumber):
        return b"0" if key == "-0" else key.encode()
    # JSON can escape half a surrogate pair, which has no UTF-8.
    return _STRING + key.encode(errors="surrogatepass")


def parse_key(text: bytes) -> bytes:
    """Return the canonical bytes of a key given as JSON; other JSON is not parsed.

    Raises ValueError.
    """
    text = text.strip(_BLANK)
    try:
        if text.startswith(_STRING):
            return encode_key(_parse_string(text))
        if text and text[0] in _NUMBER:
            ANY_JSON(text)
            return encode_key(RawNumber(text.decode()))
    except InvalidJson as error:
        raise ValueError(error.message) from None
    except msgspec.DecodeError:
        raise ValueError("not JSON: a number was expected") from None
    raise ValueError("a key is a string or a number")


def key_in(value: msgspec.Raw) -> bytes | None:
    """Return the canonical bytes of a valid JSON value, None if it is no key."""
    if is_string(value):
        return encode_key(_decode_string(value))
    if first_byte(value) in _NUMBER:
        return encode_key(RawNumber(bytes(value).decode()))
    return None


def is_string(value: msgspec.Raw) -> bool:
    """Return whether a valid JSON value is a string."""
    return first_byte(value) == _STRING[0]


def first_byte(value: msgspec.Raw) -> int:
    """Return the first byte of a value, which tells its type."""
    return memoryview(value)[0]


def hash_of(key: bytes, seed: HashSeed) -> int:
    """Return the 64-bit hash by which the index orders keys. It must never change."""
    if key.startswith(_STRING):
        return xxh3_64_intdigest(key[1:], seed.strings)
    return xxh3_64_intdigest(key, seed.numbers)


def _parse_string(text: bytes) -> str:
    """Parse a text that begins like a string. Raises InvalidJson."""
    try:
        return _decode_string(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # Half a surrogate pair, or an error to name. It ends where the string ends.
        parsed: str = parse_json(text)
        return parsed
