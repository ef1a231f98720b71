"""Decide what can be decided of a regular expression without running it.

A tenant chose the pattern, and Python would read it otherwise than ECMA-262. So only patterns of
literal characters, anchored or not, are decided.
"""

import re
from typing import Final

_LITERAL: Final = re.compile(r"(\^?)([A-Za-z0-9_ :;,@#%&=<>!~\"'/-]*)(\$?)")


def matches(pattern: str, text: str) -> bool | None:
    """Say whether a text matches a pattern; None: unknown."""
    parts = _LITERAL.fullmatch(pattern)
    if parts is None:
        return True if pattern in {".*", "^.*$", "^.*"} and text.isalnum() else None
    start, literal, end = parts.groups()
    if start and end:
        return text == literal
    if start:
        return text.startswith(literal)
    return text.endswith(literal) if end else literal in text
