"""Show the beginnings of lines."""

import codecs
from typing import Final

from app.limits import EXCERPT_BYTES

_UTF8: Final = codecs.getincrementaldecoder("utf-8")


def excerpt_of(line: bytes) -> str:
    """Decode the first bytes of a line, without a character that the cut has divided."""
    is_whole = len(line) < EXCERPT_BYTES
    return _UTF8("replace").decode(line[:EXCERPT_BYTES], final=is_whole)
