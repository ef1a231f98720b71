"""Read the Prefer header (RFC 7240)."""

import re
from typing import Final

from app.http.bodies import AnyRequest

# Longer headers are ignored: parsing takes quadratic time.
_MAX_CHARACTERS: Final = 1_000
_ITEM: Final = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*")+')
_WAIT: Final = re.compile(r'\s*wait\s*=\s*("?)([0-9]{1,9})\1\s*(?:;.*)?', re.IGNORECASE)
_NAME: Final = re.compile(r"\s*([^\s=;]*)")


def preferred_wait(request: AnyRequest, *, max_seconds: int) -> int | None:
    """Return how long the client prefers to wait, at most `max_seconds`; None without `wait`.

    Unreadable values and all but the first `wait` are ignored (RFC 7240, 2).
    """
    header = ",".join(request.headers.getall("prefer", []))
    if not header or len(header) > _MAX_CHARACTERS:
        return None
    for item in _ITEM.findall(header):
        name = _NAME.match(item)
        if name is not None and name[1].lower() == "wait":
            wait = _WAIT.fullmatch(item)
            return None if wait is None else min(int(wait[2]), max_seconds)
    return None
