"""What a client would like and need not get: the Prefer header (RFC 7240)."""

import re
from typing import Final

from app.http.bodies import AnyRequest

# Longer headers are no preferences of anybody's; reading them takes quadratic time.
_MOST_CHARACTERS: Final = 1_000
_ITEM: Final = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*")+')
_WAIT: Final = re.compile(r'\s*wait\s*=\s*("?)([0-9]{1,9})\1\s*(?:;.*)?', re.IGNORECASE)
_NAME: Final = re.compile(r"\s*([^\s=;]*)")


def preferred_wait(request: AnyRequest, *, most: int) -> int | None:
    """Give how many seconds the client would wait, `most` at most; None when it does not say.

    What cannot be read is ignored, as is all but the first `wait` (RFC 7240, 2).
    """
    header = ",".join(request.headers.getall("prefer", []))
    if not header or len(header) > _MOST_CHARACTERS:
        return None
    for item in _ITEM.findall(header):
        name = _NAME.match(item)
        if name is not None and name[1].lower() == "wait":
            found = _WAIT.fullmatch(item)
            return None if found is None else min(int(found[2]), most)
    return None
