"""Sign and parse the short-lived tokens that open the events of one execution or batch.

A browser's `EventSource` cannot send a key. A client that has one requests a token and puts it
into the address. The token is signed with the stored hash of its key's secret: nothing else is
stored, every API process can verify it, and it loses its validity together with its key.
"""

import hmac
import re
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from msgspec import Struct

from app.auth.errors import InvalidToken

VALID_SECONDS: Final = 60
# Stand in for a key on an open API, where such a token grants nothing that is not open anyway.
NO_KEY_ID: Final = UUID(int=0)
NO_SECRET: Final = bytes(32)

_TOKEN: Final = re.compile(
    r"(?P<signed>evt_(?P<resource>[0-9a-f]{32})_(?P<key>[0-9a-f]{32})_(?P<expires>[0-9a-f]{1,12}))"
    r"_(?P<signature>[A-Za-z0-9_-]{43})"
)
# The largest expiry that is read, in the year 3058: twelve digits exceed what datetime can hold.
_MAX_TIMESTAMP: Final = 2**35


class EventsToken(Struct, frozen=True, kw_only=True):
    """Answer to `POST /executions/{id}/events-token`: goes into `…/events?token=`."""

    token: str
    expires_at: datetime


class ParsedToken(Struct, frozen=True, kw_only=True):
    """The parts of a token as a client sends it, not verified."""

    resource_id: UUID
    key_id: UUID
    expires_at: datetime
    signed: str
    signature: str

    def is_signed_with(self, secret_sha256: bytes) -> bool:
        """Return whether this secret's hash gives the signature, in constant time."""
        return hmac.compare_digest(self.signature, _signature(self.signed, secret_sha256))


def sign_token(
    resource_id: UUID, *, key_id: UUID, secret_sha256: bytes, now: datetime
) -> EventsToken:
    """Create a token for one execution or batch, signed with a key's secret."""
    expires_at = (now + timedelta(seconds=VALID_SECONDS)).replace(microsecond=0)
    signed = f"evt_{resource_id.hex}_{key_id.hex}_{int(expires_at.timestamp()):x}"
    return EventsToken(token=f"{signed}_{_signature(signed, secret_sha256)}", expires_at=expires_at)


def parse_token(text: str) -> ParsedToken:
    """Split a token into its parts. Raises InvalidToken for any other text."""
    match = _TOKEN.fullmatch(text)
    if match is None:
        raise InvalidToken("that is not a token; POST /executions/{id}/events-token creates one")
    return ParsedToken(
        resource_id=UUID(match["resource"]),
        key_id=UUID(match["key"]),
        expires_at=datetime.fromtimestamp(min(int(match["expires"], 16), _MAX_TIMESTAMP), UTC),
        signed=match["signed"],
        signature=match["signature"],
    )


def _signature(signed: str, secret_sha256: bytes) -> str:
    digest = hmac.digest(secret_sha256, b"crivo events token\0" + signed.encode(), "sha256")
    return urlsafe_b64encode(digest).rstrip(b"=").decode()
