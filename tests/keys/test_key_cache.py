"""The key cache accepts valid keys, and notices changes within a second."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
import uuid_utils.compat as uuid
from msgspec.structs import replace

from app.auth.errors import InvalidKey
from app.auth.model import ALL_SCOPES, AuthMethod, Scope
from app.db import Pool, open_pool
from app.keys import key_cache as key_caches, service
from app.keys.bootstrap import operator
from app.keys.key_cache import TRUSTED_SECONDS, KeyCache
from app.keys.model import CreatedKey, CreateKey, new_key, parse_key
from app.outages import DatabaseUnavailable
from app.settings import Settings
from app.tenants import service as tenants
from app.tenants.model import DEFAULT_TENANT, ChangeTenant, CreateTenant


@pytest.fixture
async def key_cache(pool: Pool) -> KeyCache:
    """A cache that is refreshed by the tests only."""
    key_cache = KeyCache(pool, open_without_keys=True, open_always=False)
    await key_cache.refresh()
    return key_cache


async def _make(pool: Pool, **members: object) -> CreatedKey:
    request = CreateKey(**{"scopes": [Scope.READ], **members})  # type: ignore[arg-type] # any member
    async with pool.acquire() as conn:
        return await service.create(conn, operator(), request)


async def _revoke(pool: Pool, key_id: UUID) -> None:
    async with pool.acquire() as conn:
        await service.revoke(conn, operator(), key_id)


async def test_a_key_authenticates_its_tenant_and_scopes(pool: Pool, key_cache: KeyCache) -> None:
    made = await _make(pool, scopes=[Scope.READ, Scope.WRITE_SCRIPTS, Scope.READ])

    principal = await key_cache.authenticate_key(made.key)

    assert (principal.key_id, principal.tenant) == (made.id, DEFAULT_TENANT)
    assert principal.scopes == {Scope.READ, Scope.WRITE_SCRIPTS}


async def test_the_database_holds_no_secret(pool: Pool) -> None:
    made = await _make(pool)
    secret = made.key.rpartition("_")[2] if made.key.count("_") == 2 else made.key[37:]

    rows = await pool.fetch("SELECT api_keys::text AS k FROM api_keys")
    entries = await pool.fetch("SELECT audit_log::text AS e FROM audit_log")

    assert len(rows) == len(entries) == 1
    assert secret not in rows[0]["k"]
    assert secret not in entries[0]["e"]


async def test_unknown_ids_and_wrong_secrets_are_not_told_apart(
    pool: Pool, key_cache: KeyCache
) -> None:
    made = await _make(pool)
    await key_cache.authenticate_key(made.key)
    other_secret = f"{made.key[:37]}{new_key()[37:]}"

    details = []
    for key in (
        other_secret,
        new_key(),
        "",
        "crv_",
        made.key[:-1],
        f"{made.key} ",
        made.key.upper(),
    ):
        with pytest.raises(InvalidKey) as refused:
            await key_cache.authenticate_key(key)
        details.append(refused.value.detail)

    assert set(details) == {"the key is unknown"}


@pytest.mark.parametrize(
    "text",
    [
        "\x00",
        "crv_" + "a" * 1_000_000,
        "\udcff",
        "\u00e9",
        "crv_" + "0" * 32 + "_" + "x" * 129,
        "'; --",
    ],
)
async def test_other_texts_are_not_keys(key_cache: KeyCache, text: str) -> None:
    assert parse_key(text) is None
    with pytest.raises(InvalidKey):
        await key_cache.authenticate_key(text)


async def test_a_cached_key_needs_no_query(
    pool: Pool, key_cache: KeyCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await _make(pool)
    await key_cache.refresh()
    first = await key_cache.authenticate_key(made.key)
    monkeypatch.setattr(key_cache, "_pool", None)

    assert await key_cache.authenticate_key(made.key) is first


async def test_a_refresh_notices_a_revocation(pool: Pool, key_cache: KeyCache) -> None:
    made = await _make(pool)
    await key_cache.refresh()
    await key_cache.authenticate_key(made.key)
    await _revoke(pool, made.id)
    # Cached, and trusted until the next refresh.
    assert (await key_cache.authenticate_key(made.key)).key_id == made.id

    await key_cache.refresh()

    with pytest.raises(InvalidKey, match="revoked"):
        await key_cache.authenticate_key(made.key)


async def test_without_a_recent_refresh_the_cache_is_not_trusted(
    pool: Pool, key_cache: KeyCache
) -> None:
    """A refresh that fails, hangs or comes late admits no revoked key."""
    made = await _make(pool)
    await key_cache.refresh()
    await key_cache.authenticate_key(made.key)
    await _revoke(pool, made.id)
    key_cache._refreshed_at -= TRUSTED_SECONDS

    with pytest.raises(InvalidKey, match="revoked"):
        await key_cache.authenticate_key(made.key)


async def test_a_stale_cache_admits_nobody_while_the_database_is_unavailable(
    pool: Pool, key_cache: KeyCache, settings: Settings
) -> None:
    """Nor is a key refused, as it may still be valid."""
    made = await _make(pool)
    async with open_pool(settings) as going:
        known = KeyCache(going, open_without_keys=True, open_always=False)
        await known.refresh()
        await known.authenticate_key(made.key)
    known._refreshed_at -= TRUSTED_SECONDS

    with pytest.raises(DatabaseUnavailable):
        await known.authenticate_key(made.key)
    with pytest.raises(DatabaseUnavailable):
        await known.authenticate_anonymous()
    assert (await key_cache.authenticate_key(made.key)).key_id == made.id


def test_entries_are_trusted_for_two_refreshes_and_less_than_a_second() -> None:
    assert 2 * key_caches.REFRESH_SECONDS < key_caches.TRUSTED_SECONDS < 1.0


async def test_without_refreshes_the_first_key_still_ends_open_access(
    pool: Pool, key_cache: KeyCache
) -> None:
    await _make(pool)
    key_cache._refreshed_at -= TRUSTED_SECONDS
    assert key_cache.open

    assert await key_cache.authenticate_anonymous() is None
    assert not key_cache.open


async def test_a_revoked_key_makes_no_other_not_even_within_the_second(pool: Pool) -> None:
    made = await _make(pool, scopes=[Scope.ADMIN])
    caller = replace(operator(), auth_method=AuthMethod.KEY, key_id=made.id)
    await _revoke(pool, made.id)

    async with pool.acquire() as conn:
        with pytest.raises(InvalidKey):
            await service.create(conn, caller, CreateKey(scopes=[Scope.ADMIN]))

    assert await pool.fetchval("SELECT count(*) FROM api_keys") == 1


async def test_a_lookup_from_before_a_change_is_not_cached(
    pool: Pool, key_cache: KeyCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await _make(pool)
    await key_cache.refresh()
    verify = key_cache._verify

    async def change_meanwhile(key: str) -> object:
        principal = await verify(key)
        await _revoke(pool, made.id)
        await key_cache.refresh()
        return principal

    monkeypatch.setattr(key_cache, "_verify", change_meanwhile)
    await key_cache.authenticate_key(made.key)
    monkeypatch.undo()

    with pytest.raises(InvalidKey, match="revoked"):
        await key_cache.authenticate_key(made.key)


async def test_a_refresh_notices_a_suspended_tenant(pool: Pool, key_cache: KeyCache) -> None:
    async with pool.acquire() as conn:
        await tenants.create(conn, operator(), CreateTenant(name="acme"))
    made = await _make(pool, tenant="acme")
    await key_cache.refresh()
    assert not (await key_cache.authenticate_key(made.key)).suspended

    change = ChangeTenant(suspended=True)
    async with pool.acquire() as conn:
        await tenants.change(conn, operator(), "acme", change)
    await key_cache.refresh()

    assert (await key_cache.authenticate_key(made.key)).suspended


async def test_the_api_is_open_until_the_first_key_and_never_again(
    pool: Pool, key_cache: KeyCache
) -> None:
    opened = [key_cache.open]
    anonymous = await key_cache.authenticate_anonymous()
    assert anonymous is not None
    assert (anonymous.tenant, anonymous.scopes, anonymous.key_id) == (
        DEFAULT_TENANT,
        ALL_SCOPES,
        None,
    )

    made = await _make(pool)
    await key_cache.refresh()
    opened.append(key_cache.open)
    await _revoke(pool, made.id)
    await key_cache.refresh()
    opened.append(key_cache.open)

    assert opened == [True, False, False]


async def test_last_use_is_stored_once_for_many_requests(pool: Pool, key_cache: KeyCache) -> None:
    made = await _make(pool)
    before = datetime.now(UTC)
    generation = "SELECT generation FROM access_generation"
    counted = await pool.fetchval(generation)
    for _ in range(3):
        await key_cache.authenticate_key(made.key)
    assert await pool.fetchval("SELECT last_used_at FROM api_keys") is None

    await key_cache.flush()
    await key_cache.flush()

    assert await pool.fetchval("SELECT last_used_at FROM api_keys") >= before
    # It does not invalidate caches.
    assert await pool.fetchval(generation) == counted


async def test_an_older_use_does_not_overwrite_a_newer_one(pool: Pool, key_cache: KeyCache) -> None:
    made = await _make(pool)
    newer = datetime.now(UTC) + timedelta(hours=1)
    await pool.execute("UPDATE api_keys SET last_used_at = $1", newer)

    await key_cache.authenticate_key(made.key)
    await key_cache.flush()

    assert await pool.fetchval("SELECT last_used_at FROM api_keys") == newer


async def test_the_admin_key_is_stored_once_and_stays_revoked(pool: Pool) -> None:
    key = new_key()
    parsed = parse_key(key)
    assert parsed is not None
    async with pool.acquire() as conn:
        assert await service.ensure_admin_key(conn, operator(), key)
        assert not await service.ensure_admin_key(conn, operator(), key)
        await service.revoke(conn, operator(), parsed.id)
        assert not await service.ensure_admin_key(conn, operator(), key)
        assert (await service.find(conn, parsed.id)).revoked_at is not None

        with pytest.raises(service.UnusableAdminKey, match="another secret"):
            await service.ensure_admin_key(conn, operator(), f"{key[:37]}{new_key()[37:]}")
        with pytest.raises(service.UnusableAdminKey, match="is not a key"):
            await service.ensure_admin_key(conn, operator(), "hunter2")


def test_new_keys_are_random_and_well_formed() -> None:
    keys = {new_key() for _ in range(100)}

    assert len({key[37:] for key in keys}) == 100
    assert all(parse_key(key) is not None for key in keys)
    assert parse_key(f"crv_{uuid.uuid7().hex}_{'0123456789abcdef' * 4}") is not None
