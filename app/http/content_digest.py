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
    r'(?:; *[a-z*][a-z0-9_.*-]*(?:=(?:"[^",]*"|[^",; ]+))?)*'
)
# Those of RFC 9530 that are not deprecated, with the bytes of their digests.
_SIZES: Final = {"sha-256": 32, "sha-512": 64}

# How routes that check it describe the header in OpenAPI.
DESCRIBED: Final = {
    "Content-Digest": "`sha-256=:<base64>:` or `sha-512=:<base64>:`, the digest of the body as it "
    "is sent, compressed if it is: 422 if the received bytes differ (RFC 9530). Other algorithms "
    "are ignored"
}

Digests = dict[str, bytes]


class DigestMismatch(Problem):
    """The received body is not the one that its Content-Digest announces."""

    status = 422
    code = "digest-mismatch"
    title = "The body does not match its digest"


def content_digests_of(connection: AnyConnection) -> Digests:
    """Return the digests that a request announces for its body, by algorithm.

    Those of other algorithms are ignored (RFC 9530, 2). Raises MalformedRequest.
    """
    header = ",".join(connection.headers.getall("content-digest", []))
    if not header.strip():
        return {}
    texts: dict[str, str] = {}
    for member in header.split(","):
        found = _MEMBER.fullmatch(member.strip(" \t"))
        if found is None:
            raise MalformedRequest("Content-Digest is not a list of <algorithm>=:<base64>:")
        # Of members with one name the last counts.
        texts[found[1]] = found[2]
    return {name: _decoded(name, text) for name, text in texts.items() if name in _SIZES}


async def checked(chunks: AsyncIterator[bytes], digests: Digests) -> AsyncIterator[bytes]:
    """Yield chunks; their end raises DigestMismatch unless they have these digests."""
    hashes = {name: hashlib.new(name.replace("-", "")) for name in digests}
    async for chunk in chunks:
        for each in hashes.values():
            each.update(chunk)
        yield chunk
    for name, each in hashes.items():
        if each.digest() != digests[name]:
            received = base64.b64encode(each.digest()).decode()
            raise DigestMismatch(f"the received body has {name}=:{received}:; send it again")


def _decoded(name: str, text: str) -> bytes:
    text = text.rstrip("=")
    try:
        digest = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (ValueError, binascii.Error):
        digest = b""
    if len(digest) != _SIZES[name]:
        raise MalformedRequest(f"Content-Digest has no {name}=:<base64 of {_SIZES[name]} bytes>:")
    return digest
