"""Verify keys without asking the database each time, and hear within a second what changed.

Every change of a key or a tenant counts one number up in its own transaction. Each API
process looks at that number several times a second and forgets all it knows when it is
another. What it knows holds for 0.9 s after the beginning of the last such look: whether looks
fail, hang or come late, no revoked key is let in a second after its revocation. While there
is no fresh look, each request asks the database, and fails with it.
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

from app.background import background, retry_forever
from app.db import Pool
from app.http.access import ALL_SCOPES, Holder, Scope
from app.http.event_tokens import (
    NO_KEY_ID,
    NO_SECRET,
    EventsToken,
    InvalidToken,
    Presented,
    new_token,
)
from app.http.refusals import REVOKED, UNKNOWN, InvalidKey
from app.keys import store
from app.keys.model import StoredKey, parse_key
from app.outages import DatabaseUnavailable
from app.tenants.model import DEFAULT_TENANT

log = structlog.get_logger(__name__)

LOOK_SECONDS: Final = 0.4
TRUSTED_SECONDS: Final = 0.9
# How late `last_used_at` may be.
FLUSH_SECONDS: Final = 5.0
# Only verified keys are kept; more than anybody has.
_MOST_KNOWN: Final = 10_000
# Compared with where there is no such key, so that unknown ids take the same way.
_NO_DIGEST: Final = bytes(32)
_KEY_NEEDED: Final = "the token was made without a key, and one is needed by now"


class KeyCache:
    """The keys and the door of one API process."""

    def __init__(self, pool: Pool, *, open_without_keys: bool, open_always: bool) -> None:
        """Take the pool, and whether the door is open while there are no keys, or always."""
        self._pool = pool
        self._open_without_keys = open_without_keys
        self._open_always = open_always
        # By the hash of the whole key: no secret stays in memory. Replaced as a whole, so that
        # what a lookup from before a change finds is kept where nobody looks any more.
        self._known: dict[bytes, Holder] = {}
        self._state = store.State(generation=-1, any_key=True)
        self._looked_at = float("-inf")
        self._used: dict[UUID, datetime] = {}

    @property
    def open(self) -> bool:
        """Say whether requests without a key are let in."""
        return self._open_always or (self._open_without_keys and not self._state.any_key)

    @property
    def any_key(self) -> bool:
        """Say whether there was ever a key."""
        return self._state.any_key

    async def holder_of(self, key: str) -> Holder:
        """Verify a key. Raises InvalidKey, or DatabaseUnavailable."""
        digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
        holder = self._recall(digest)
        if holder is None:
            known = self._known
            holder = await self._verify(key)
            _keep(known, digest, holder)
        if holder.key_id is not None:
            self._used[holder.key_id] = datetime.now(UTC)
        return holder

    async def anonymous(self) -> Holder | None:
        """Give whom requests without a key stand for; None where they need one by now.

        Raises DatabaseUnavailable.
        """
        holder = self._recall(b"")
        if holder is None:
            if not self._is_fresh():
                # A first key may have been made that looks have not told of.
                await self.look()
            if not self.open:
                return None
            known = self._known
            async with self._pool.acquire() as conn:
                suspended, weight, caps = await store.select_holder(conn, DEFAULT_TENANT)
            holder = Holder(
                tenant=DEFAULT_TENANT,
                suspended=suspended,
                weight=weight,
                caps=caps,
                scopes=ALL_SCOPES,
            )
            _keep(known, b"", holder)
        return holder

    async def events_token(self, key_id: UUID | None, execution_id: UUID) -> EventsToken:
        """Make a token that opens an execution's events. Raises InvalidKey, DatabaseUnavailable."""
        secret = NO_SECRET
        if key_id is not None:
            async with self._pool.acquire() as conn:
                stored = await store.select_stored_key(conn, key_id)
            if stored is None:
                raise InvalidKey(UNKNOWN)
            secret = stored.secret_sha256
        return new_token(
            execution_id,
            key_id=key_id or NO_KEY_ID,
            secret_sha256=secret,
            now=datetime.now(UTC),
        )

    async def holder_of_token(self, token: Presented) -> Holder:
        """Verify a token's signature and its key. Raises InvalidToken, DatabaseUnavailable.

        When it expires is the matter of whoever lets a request in.
        """
        if token.key_id == NO_KEY_ID:
            if not (self.open and token.is_signed_with(NO_SECRET)):
                raise InvalidToken(_KEY_NEEDED)
            holder = await self.anonymous()
            if holder is None:
                raise InvalidToken(_KEY_NEEDED)
            return holder
        # Never the hash that a key of this text would have: a token is not to pass for one.
        digest = hashlib.sha256(f"token {token.signed}_{token.signature}".encode()).digest()
        holder = self._recall(digest)
        if holder is None:
            known = self._known
            async with self._pool.acquire() as conn:
                stored = await store.select_stored_key(conn, token.key_id)
            if (
                stored is None
                or stored.revoked_at is not None
                or not token.is_signed_with(stored.secret_sha256)
            ):
                raise InvalidToken("the token is not ours, or its key was revoked")
            holder = _holder(stored)
            holder = replace(holder, scopes=holder.scopes & {Scope.READ})
            _keep(known, digest, holder)
        return holder

    async def look(self) -> None:
        """See whether keys or tenants have changed. Raises DatabaseUnavailable."""
        begun = asyncio.get_running_loop().time()
        async with self._pool.acquire() as conn:
            state = await store.select_state(conn)
        if state.generation != self._state.generation:
            self._known = {}
        self._state = state
        self._looked_at = begun

    async def flush(self) -> None:
        """Write down which keys were used since the last time. Raises DatabaseUnavailable."""
        used, self._used = self._used, {}
        if used:
            async with self._pool.acquire() as conn:
                await store.touch_keys(conn, used)

    async def keep_up(self) -> None:
        """Look and flush for ever."""
        flushed_at = asyncio.get_running_loop().time()

        # Where this fails, what is known goes stale, and requests ask the database.
        async def look_and_flush() -> None:
            nonlocal flushed_at
            await self.look()
            if asyncio.get_running_loop().time() - flushed_at > FLUSH_SECONDS:
                flushed_at = asyncio.get_running_loop().time()
                await self.flush()

        await retry_forever("keys.look_failed", look_and_flush, pause_seconds=LOOK_SECONDS)

    def _recall(self, digest: bytes) -> Holder | None:
        return self._known.get(digest) if self._is_fresh() else None

    def _is_fresh(self) -> bool:
        return asyncio.get_running_loop().time() - self._looked_at < TRUSTED_SECONDS

    async def _verify(self, key: str) -> Holder:
        presented = parse_key(key)
        if presented is None:
            log.warning("key.refused", reason="malformed")
            raise InvalidKey(UNKNOWN)
        async with self._pool.acquire() as conn:
            stored = await store.select_stored_key(conn, presented.id)
        expected = _NO_DIGEST if stored is None else stored.secret_sha256
        same = hmac.compare_digest(expected, presented.secret_sha256)
        if stored is None or not same:
            log.warning("key.refused", key_id=str(presented.id), reason="unknown")
            raise InvalidKey(UNKNOWN)
        if stored.revoked_at is not None:
            log.warning("key.refused", key_id=str(presented.id), reason="revoked")
            raise InvalidKey(REVOKED)
        return _holder(stored)


@asynccontextmanager
async def open_key_cache(
    pool: Pool, *, open_without_keys: bool, open_always: bool
) -> AsyncIterator[KeyCache]:
    """Look once, then keep looking for the length of the block. Raises DatabaseUnavailable."""
    key_cache = KeyCache(pool, open_without_keys=open_without_keys, open_always=open_always)
    await key_cache.look()
    try:
        async with background(key_cache.keep_up()):
            yield key_cache
    finally:
        with suppress(DatabaseUnavailable):
            await key_cache.flush()


def _keep(known: dict[bytes, Holder], digest: bytes, holder: Holder) -> None:
    if len(known) >= _MOST_KNOWN:
        known.clear()
    known[digest] = holder


def _holder(stored: StoredKey) -> Holder:
    return Holder(
        tenant=stored.tenant_id,
        suspended=stored.suspended,
        weight=stored.weight,
        caps=stored.caps,
        scopes=frozenset(stored.scopes),
        key_id=stored.id,
        expires_at=stored.expires_at,
    )
