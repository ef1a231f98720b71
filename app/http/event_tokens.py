"""Short-lived tokens that open the events of one execution, for clients that send no headers.

`EventSource` in a browser cannot send a key. A client that has one asks for a token and puts it
into the address. The token is signed with the hash of its key's secret, which every API process
finds in the database: nothing is stored, and a token is worth what its key is worth at the moment.
"""

import hmac
import re
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from msgspec import Struct

from app.errors import Problem

VALID_SECONDS: Final = 60
# Stands for the key where the API is open: such a token opens what is open anyway.
NO_KEY_ID: Final = UUID(int=0)
NO_SECRET: Final = bytes(32)

_TOKEN: Final = re.compile(
    r"(?P<signed>evt_(?P<execution>[0-9a-f]{32})_(?P<key>[0-9a-f]{32})_(?P<expires>[0-9a-f]{1,12}))"
    r"_(?P<signature>[A-Za-z0-9_-]{43})"
)


class InvalidToken(Problem):
    """The token in the address is none of this execution's, or no longer valid."""

    status = 401
    code = "invalid-token"
    title = "The token is not valid"


class EventsToken(Struct, frozen=True, kw_only=True):
    """Answer to `POST /executions/{id}/events-token`: goes into `…/events?token=`."""

    token: str
    expires_at: datetime


class Presented(Struct, frozen=True, kw_only=True):
    """A token as a client sends it, taken apart and not verified yet."""

    execution_id: UUID
    key_id: UUID
    expires_at: datetime
    signed: str
    signature: str

    def is_signed_with(self, secret_sha256: bytes) -> bool:
        """Say whether the signature is that of this secret's hash, in constant time."""
        return hmac.compare_digest(self.signature, _signature(self.signed, secret_sha256))


def new_token(
    execution_id: UUID, *, key_id: UUID, secret_sha256: bytes, now: datetime
) -> EventsToken:
    """Make a token for one execution, signed with a key's secret."""
    expires_at = (now + timedelta(seconds=VALID_SECONDS)).replace(microsecond=0)
    signed = f"evt_{execution_id.hex}_{key_id.hex}_{int(expires_at.timestamp()):x}"
    return EventsToken(token=f"{signed}_{_signature(signed, secret_sha256)}", expires_at=expires_at)


def parse_token(text: str) -> Presented:
    """Take a token apart. Raises InvalidToken for what cannot be one."""
    found = _TOKEN.fullmatch(text)
    if found is None:
        raise InvalidToken("that is no token; POST /executions/{id}/events-token gives one")
    return Presented(
        execution_id=UUID(found["execution"]),
        key_id=UUID(found["key"]),
        # Twelve digits hold more than a datetime does.
        expires_at=datetime.fromtimestamp(min(int(found["expires"], 16), 2**35), UTC),
        signed=found["signed"],
        signature=found["signature"],
    )


def _signature(signed: str, secret_sha256: bytes) -> str:
    digest = hmac.digest(secret_sha256, b"crivo events token\0" + signed.encode(), "sha256")
    return urlsafe_b64encode(digest).rstrip(b"=").decode()
