"""Check a body against its Content-Digest (RFC 9530)."""

import base64
import binascii
import hashlib
import re
from collections.abc import AsyncIterator
from typing import Final

from app.errors import MalformedRequest, Problem
from app.http.request_id import AnyConnection

# A member of a dictionary (RFC 8941, 3.2): a byte sequence, and parameters without a meaning here.
_MEMBER: Final = re.compile(
    r"([a-z*][a-z0-9_.*-]*)=:([A-Za-z0-9+/=]*):"
    r'(?: *;[a-z*][a-z0-9_.*-]*(?:=(?:"[^",]*"|[^",; ]+))?)*'
)
_ALGORITHM: Final = "sha-256"
_SHA256_BYTES: Final = 32

# How routes that check it describe the header in OpenAPI.
DESCRIBED: Final = {
    "Content-Digest": "`sha-256=:<base64>:`, the digest of the body as it is sent, compressed if "
    "it is: 422 if the received bytes differ (RFC 9530). Other algorithms are ignored"
}


class DigestMismatch(Problem):
    """The received body is not the one that its Content-Digest announces."""

    status = 422
    code = "digest-mismatch"
    title = "The body does not match its digest"


def content_digest_of(connection: AnyConnection) -> bytes | None:
    """Return the SHA-256 that a request announces for its body; None if it announces none.

    Digests of other algorithms are ignored (RFC 9530, 2). Raises MalformedRequest.
    """
    header = ",".join(connection.headers.getall("content-digest", []))
    if not header.strip():
        return None
    digests: dict[str, str] = {}
    for member in header.split(","):
        found = _MEMBER.fullmatch(member.strip(" \t"))
        if found is None:
            raise MalformedRequest("Content-Digest is not a list of <algorithm>=:<base64>:")
        # Of members with one name the last counts.
        digests[found[1]] = found[2]
    if _ALGORITHM not in digests:
        return None
    text = digests[_ALGORITHM].rstrip("=")
    try:
        digest = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (ValueError, binascii.Error):
        digest = b""
    if len(digest) != _SHA256_BYTES:
        raise MalformedRequest("Content-Digest has no sha-256=:<base64 of 32 bytes>:")
    return digest


async def checked(chunks: AsyncIterator[bytes], digest: bytes) -> AsyncIterator[bytes]:
    """Yield chunks; their end raises DigestMismatch unless they have this SHA-256."""
    sha256 = hashlib.sha256()
    async for chunk in chunks:
        sha256.update(chunk)
        yield chunk
    if sha256.digest() != digest:
        received = base64.b64encode(sha256.digest()).decode()
        raise DigestMismatch(f"the received body has sha-256=:{received}:; send it again")
