"""Declare what authenticates requests: by key, by event token, or without either."""

from typing import Protocol
from uuid import UUID

from app.auth.event_tokens import EventsToken, ParsedToken
from app.auth.model import Principal


class Authenticator(Protocol):
    """Finds the principal of a request; `app.keys.key_cache` implements it."""

    @property
    def open(self) -> bool:
        """Whether requests without a key are accepted at the moment."""

    async def authenticate_key(self, key: str) -> Principal:
        """Verify a key. Raises InvalidKey, DatabaseUnavailable."""

    async def authenticate_anonymous(self) -> Principal | None:
        """Return the principal of requests without a key; None where a key is required.

        Raises DatabaseUnavailable.
        """

    async def authenticate_token(self, token: ParsedToken) -> Principal:
        """Verify a token's signature and its key, and not its expiry.

        Raises InvalidToken, DatabaseUnavailable.
        """

    async def create_events_token(self, key_id: UUID | None, resource_id: UUID) -> EventsToken:
        """Sign an event token with a key's secret. Raises InvalidKey, DatabaseUnavailable."""
