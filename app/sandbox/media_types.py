"""Recognise media types as RFC 9110 writes them."""

import re
from typing import Final

MAX_MEDIA_TYPE_CHARACTERS: Final = 255
# That of bytes of which nothing is known.
OCTET_STREAM: Final = "application/octet-stream"

_TOKEN: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - a term of the RFC
_QUOTED: Final = r'"(?:[\t !#-\[\]-~]|\\[\t -~])*"'
_MEDIA_TYPE: Final = re.compile(
    rf"{_TOKEN}/{_TOKEN}(?:[ \t]*;[ \t]*{_TOKEN}=(?:{_TOKEN}|{_QUOTED}))*"
)


def is_media_type(text: str) -> bool:
    """Return whether a text is a media type, with or without parameters, in ASCII.

    Such a text can be the value of a header (RFC 9110, 8.3.1).
    """
    return len(text) <= MAX_MEDIA_TYPE_CHARACTERS and _MEDIA_TYPE.fullmatch(text) is not None
