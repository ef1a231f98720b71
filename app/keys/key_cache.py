"""Verify keys from memory, and notice changes of keys and tenants within a second.

Every change of a key or a tenant increments a counter in its own transaction. Each API process
reads the counter several times a second and drops its cache when the counter has changed. Entries
are trusted for 0.9 s from the beginning of the last read: whether reads fail, hang or come late,
no revoked key is accepted a second after its revocation. Without a recent read every request
queries the database, and fails with it.
"""

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import structlog
from msgspec.structs import replace

from app.auth.errors import KEY_REVOKED, KEY_UNKNOWN, InvalidKey, InvalidToken
from app.auth.event_tokens import NO_KEY_ID, NO_SECRET, EventsToken, ParsedToken, sign_token
from app.auth.model import ALL_SCOPES, Principal, Scope
from app.background import background, retry_forever
from app.db import Pool
from app.keys import store
from app.keys.model import StoredKey, parse_key
from app.outages import DatabaseUnavailable
from app.tenants.model import DEFAULT_TENANT

log = structlog.get_logger(__name__)

REFRESH_SECONDS: Final = 0.4
TRUSTED_SECONDS: Final = 0.9
# How far `last_used_at` can lag.
FLUSH_SECONDS: Final = 5.0
# Only verified keys are cached; installations have fewer.
_MAX_ENTRIES: Final = 10_000
# Compared with where no key has the id, so that unknown ids take the same time.
_NO_DIGEST: Final = bytes(32)
# The cache's entry for requests without a key.
_ANONYMOUS: Final = b""
_KEY_REQUIRED_NOW: Final = "the token was created without a key, and now one is required"


class KeyCache:
    """The authenticator of one API process, with its cache of verified keys."""

    def __init__(self, pool: Pool, *, open_without_keys: bool, open_always: bool) -> None:
        """Take the pool, and whether the API is open while no key exists, or always."""
        self._pool = pool
        self._open_without_keys = open_without_keys
        self._open_always = open_always
        # By the hash of the whole key, so no secret stays in memory. The dict is replaced as a
        # whole, so a lookup that began before a change stores its result in the discarded one.
        self._principals: dict[bytes, Principal] = {}
        self._state = store.KeysState(generation=-1, any_key=True)
        self._refreshed_at = float("-inf")
        self._last_used: dict[UUID, datetime] = {}

    @property
    def open(self) -> bool:
        """Whether requests without a key are accepted at the moment."""
        return self._open_always or (self._open_without_keys and not self._state.any_key)

    async def authenticate_key(self, key: str) -> Principal:
        """Verify a key. Raises InvalidKey, DatabaseUnavailable."""
        digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
        principal = self._cached(digest)
        if principal is None:
            principals = self._principals
            principal = await self._verify(key)
            _store(principals, digest, principal)
        if principal.key_id is not None:
            self._last_used[principal.key_id] = datetime.now(UTC)
        return principal

    async def authenticate_anonymous(self) -> Principal | None:
        """Return the principal of requests without a key; None where a key is required.

        Raises DatabaseUnavailable.
        """
        principal = self._cached(_ANONYMOUS)
        if principal is None:
            if not self._is_fresh():
                # The first key may have been created since the last refresh.
                await self.refresh()
            if not self.open:
                return None
            principals = self._principals
            async with self._pool.acquire() as conn:
                suspended, weight, caps = await store.select_tenant_access(conn, DEFAULT_TENANT)
            principal = Principal(
                tenant=DEFAULT_TENANT,
                suspended=suspended,
                weight=weight,
                caps=caps,
                scopes=ALL_SCOPES,
            )
            _store(principals, _ANONYMOUS, principal)
        return principal

    async def create_events_token(self, key_id: UUID | None, resource_id: UUID) -> EventsToken:
        """Sign an event token with a key's secret. Raises InvalidKey, DatabaseUnavailable."""
        secret = NO_SECRET
        if key_id is not None:
            async with self._pool.acquire() as conn:
                stored = await store.select_stored_key(conn, key_id)
            if stored is None:
                raise InvalidKey(KEY_UNKNOWN)
            secret = stored.secret_sha256
        return sign_token(
            resource_id,
            key_id=key_id or NO_KEY_ID,
            secret_sha256=secret,
            now=datetime.now(UTC),
        )

    async def authenticate_token(self, token: ParsedToken) -> Principal:
        """Verify a token's signature and its key, and not its expiry.

        Raises InvalidToken, DatabaseUnavailable.
        """
        if token.key_id == NO_KEY_ID:
            return await self._verify_keyless(token)
        # The prefix keeps a token's digest apart from that of a key with the same text.
        digest = hashlib.sha256(f"token {token.signed}_{token.signature}".encode()).digest()
        principal = self._cached(digest)
        if principal is None:
            principals = self._principals
            principal = await self._verify_token(token)
            _store(principals, digest, principal)
        return principal

    async def refresh(self) -> None:
        """Drop the cache if keys or tenants have changed. Raises DatabaseUnavailable."""
        begun = asyncio.get_running_loop().time()
        async with self._pool.acquire() as conn:
            state = await store.select_keys_state(conn)
        if state.generation != self._state.generation:
            self._principals = {}
        self._state = state
        self._refreshed_at = begun

    async def flush(self) -> None:
        """Store when keys were last used. Raises DatabaseUnavailable."""
        last_used, self._last_used = self._last_used, {}
        if last_used:
            async with self._pool.acquire() as conn:
                await store.touch_keys(conn, last_used)

    async def refresh_forever(self) -> None:
        """Refresh and flush at intervals until cancelled."""
        flushed_at = asyncio.get_running_loop().time()

        # If this fails, the cache expires by itself, and requests query the database.
        async def refresh_and_flush() -> None:
            nonlocal flushed_at
            await self.refresh()
            if asyncio.get_running_loop().time() - flushed_at > FLUSH_SECONDS:
                flushed_at = asyncio.get_running_loop().time()
                await self.flush()

        await retry_forever("keys.look_failed", refresh_and_flush, pause_seconds=REFRESH_SECONDS)

    def _cached(self, digest: bytes) -> Principal | None:
        return self._principals.get(digest) if self._is_fresh() else None

    def _is_fresh(self) -> bool:
        return asyncio.get_running_loop().time() - self._refreshed_at < TRUSTED_SECONDS

    async def _verify(self, key: str) -> Principal:
        parsed = parse_key(key)
        if parsed is None:
            log.warning("key.refused", reason="malformed")
            raise InvalidKey(KEY_UNKNOWN)
        async with self._pool.acquire() as conn:
            stored = await store.select_stored_key(conn, parsed.id)
        expected = _NO_DIGEST if stored is None else stored.secret_sha256
        is_same = hmac.compare_digest(expected, parsed.secret_sha256)
        if stored is None or not is_same:
            log.warning("key.refused", key_id=str(parsed.id), reason="unknown")
            raise InvalidKey(KEY_UNKNOWN)
        if stored.revoked_at is not None:
            log.warning("key.refused", key_id=str(parsed.id), reason="revoked")
            raise InvalidKey(KEY_REVOKED)
        return _principal(stored)

    async def _verify_token(self, token: ParsedToken) -> Principal:
        async with self._pool.acquire() as conn:
            stored = await store.select_stored_key(conn, token.key_id)
        if (
            stored is None
            or stored.revoked_at is not None
            or not token.is_signed_with(stored.secret_sha256)
        ):
            raise InvalidToken("the token's signature is wrong, or its key was revoked")
        principal = _principal(stored)
        return replace(principal, scopes=principal.scopes & {Scope.READ})

    async def _verify_keyless(self, token: ParsedToken) -> Principal:
        if not (self.open and token.is_signed_with(NO_SECRET)):
            raise InvalidToken(_KEY_REQUIRED_NOW)
        principal = await self.authenticate_anonymous()
        if principal is None:
            raise InvalidToken(_KEY_REQUIRED_NOW)
        return principal


@asynccontextmanager
async def open_key_cache(
    pool: Pool, *, open_without_keys: bool, open_always: bool
) -> AsyncIterator[KeyCache]:
    """Open a key cache that refreshes itself in the background. Raises DatabaseUnavailable."""
    key_cache = KeyCache(pool, open_without_keys=open_without_keys, open_always=open_always)
    await key_cache.refresh()
    try:
        async with background(key_cache.refresh_forever()):
            yield key_cache
    finally:
        with suppress(DatabaseUnavailable):
            await key_cache.flush()


def _store(principals: dict[bytes, Principal], digest: bytes, principal: Principal) -> None:
    if len(principals) >= _MAX_ENTRIES:
        principals.clear()
    principals[digest] = principal


def _principal(stored: StoredKey) -> Principal:
    return Principal(
        tenant=stored.tenant_id,
        suspended=stored.suspended,
        weight=stored.weight,
        caps=stored.caps,
        scopes=frozenset(stored.scopes),
        key_id=stored.id,
        expires_at=stored.expires_at,
    )
