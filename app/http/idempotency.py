"""Read Idempotency-Key (draft-ietf-httpapi-idempotency-key-header), and mark repeated requests."""

import re
from typing import Final

from app.http.bodies import AnyRequest
from app.idempotency.model import (
    IDEMPOTENCY_KEY,
    MAX_KEY_CHARACTERS,
    InvalidIdempotencyKey,
    RequestKey,
)

# For OpenAPI.
DESCRIBED: Final = {
    IDEMPOTENCY_KEY: "1 to 255 characters that the client chooses, such as a UUID: repeating the "
    "request with its key creates nothing and returns what the first one created"
}
DESCRIBED_REPLAY: Final = {
    "Idempotency-Replayed": "`true` if an earlier request with this key created it"
}

# The draft has a quoted string (RFC 8941, 3.3.3); most clients send it bare.
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\["\\])*)"')
_VISIBLE: Final = re.compile(r"[\x20-\x7e]+")


def replayed(*, is_replay: bool) -> dict[str, str]:
    """Return the header of a response that shows what an earlier request created."""
    return {"Idempotency-Replayed": "true"} if is_replay else {}


def idempotency_key_of(request: AnyRequest) -> RequestKey | None:
    """Return the request's key; None without one. Raises InvalidIdempotencyKey."""
    lines = request.headers.getall(IDEMPOTENCY_KEY.lower(), [])
    if not lines:
        return None
    if len(lines) > 1:
        raise InvalidIdempotencyKey(f"the request has {len(lines)} of them; send one")
    value = lines[0].strip()
    if quoted := _QUOTED.fullmatch(value):
        value = re.sub(r"\\(.)", r"\1", quoted[1])
    if not 0 < len(value) <= MAX_KEY_CHARACTERS or not _VISIBLE.fullmatch(value):
        raise InvalidIdempotencyKey(
            f"a key has 1 to {MAX_KEY_CHARACTERS} printable ASCII characters; this one has "
            f"{len(value)} characters"
        )
    return RequestKey(value, f"{request.method} {request.url.path}")
