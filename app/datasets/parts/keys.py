r"""Define keys of records: strings and numbers, their canonical bytes and their hashes.

A string is compared decoded, so `"\u0061"` is `"a"`. A number is compared by its text, so that no
digit is lost: `1` and `1.0` are two keys, and neither is the string `"1"`. Only `-0` is `0`.
"""

import re
from typing import Final

from xxhash import xxh3_64_intdigest

from app.datasets.parts.json_text import InvalidJson, RawNumber, parse_json

# The canonical bytes of a string begin with this, as its JSON; no number does.
_STRING: Final = b'"'
_BLANK: Final = b" \t\r\n"
_NUMBER: Final = re.compile(rb"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
STRING_SEED: Final = 1
NUMBER_SEED: Final = 2


def encode_key(key: str) -> bytes:
    """Return the canonical bytes of a string, or of a RawNumber."""
    if isinstance(key, RawNumber):
        return b"0" if key == "-0" else key.encode()
    # JSON can escape half a surrogate pair, which has no UTF-8.
    return _STRING + key.encode(errors="surrogatepass")


def parse_key(text: bytes) -> bytes:
    """Return the canonical bytes of a key given as JSON. Raises ValueError."""
    text = text.strip(_BLANK)
    if _NUMBER.fullmatch(text):
        return encode_key(RawNumber(text.decode()))
    # Arrays and objects are not parsed: they could take seconds.
    if not text.startswith(_STRING):
        raise ValueError("a key is a string or a number")
    try:
        return encode_key(parse_json(text))
    except InvalidJson as error:
        raise ValueError(error.message) from None


def hash_of(key: bytes) -> int:
    """Return the 64-bit hash by which the index orders keys. It must never change."""
    if key.startswith(_STRING):
        return xxh3_64_intdigest(key[1:], STRING_SEED)
    return xxh3_64_intdigest(key, NUMBER_SEED)
