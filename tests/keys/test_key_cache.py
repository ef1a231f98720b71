"""The key_cache against a real database: what it lets in, what it remembers, and for how long."""

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
    """One that looks when a test says so, not by itself."""
    key_cache = KeyCache(pool, open_without_keys=True, open_always=False)
    await key_cache.refresh()
    return key_cache


async def _make(pool: Pool, **wanted: object) -> CreatedKey:
    request = CreateKey(**{"scopes": [Scope.READ], **wanted})  # type: ignore[arg-type]
    async with pool.acquire() as conn:
        return await service.create(conn, operator(), request)


async def _revoke(pool: Pool, key_id: UUID) -> None:
    async with pool.acquire() as conn:
        await service.revoke(conn, operator(), key_id)


async def test_a_key_stands_for_its_tenant_and_its_scopes(pool: Pool, key_cache: KeyCache) -> None:
    made = await _make(pool, scopes=[Scope.READ, Scope.WRITE_SCRIPTS, Scope.READ])

    principal = await key_cache.authenticate_key(made.key)

    assert (principal.key_id, principal.tenant) == (made.id, DEFAULT_TENANT)
    assert principal.scopes == {Scope.READ, Scope.WRITE_SCRIPTS}


async def test_the_database_has_no_secret(pool: Pool) -> None:
    made = await _make(pool)
    secret = made.key.rpartition("_")[2] if made.key.count("_") == 2 else made.key[37:]

    rows = await pool.fetch("SELECT api_keys::text AS k FROM api_keys")
    entries = await pool.fetch("SELECT audit_log::text AS e FROM audit_log")

    assert len(rows) == len(entries) == 1
    assert secret not in rows[0]["k"]
    assert secret not in entries[0]["e"]


async def test_unknown_ids_and_wrong_secrets_are_told_the_same(
    pool: Pool, key_cache: KeyCache
) -> None:
    made = await _make(pool)
    await key_cache.authenticate_key(made.key)
    other_secret = f"{made.key[:37]}{new_key()[37:]}"

    told = []
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
        told.append(refused.value.detail)

    assert set(told) == {"the key is unknown"}


@pytest.mark.parametrize(
    "odd",
    [
        "\x00",
        "crv_" + "a" * 1_000_000,
        "\udcff",
        "\u00e9",
        "crv_" + "0" * 32 + "_" + "x" * 129,
        "'; --",
    ],
)
async def test_odd_texts_are_no_keys(key_cache: KeyCache, odd: str) -> None:
    assert parse_key(odd) is None
    with pytest.raises(InvalidKey):
        await key_cache.authenticate_key(odd)


async def test_what_is_known_costs_no_question(
    pool: Pool, key_cache: KeyCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await _make(pool)
    await key_cache.refresh()
    first = await key_cache.authenticate_key(made.key)
    monkeypatch.setattr(key_cache, "_pool", None)

    assert await key_cache.authenticate_key(made.key) is first


async def test_a_change_is_heard_at_the_next_look(pool: Pool, key_cache: KeyCache) -> None:
    made = await _make(pool)
    await key_cache.refresh()
    await key_cache.authenticate_key(made.key)
    await _revoke(pool, made.id)
    # Known, and trusted until the next look.
    assert (await key_cache.authenticate_key(made.key)).key_id == made.id

    await key_cache.refresh()

    with pytest.raises(InvalidKey, match="revoked"):
        await key_cache.authenticate_key(made.key)


async def test_without_a_fresh_look_nothing_is_trusted(pool: Pool, key_cache: KeyCache) -> None:
    """A look that fails, hangs or comes late lets no revoked key in."""
    made = await _make(pool)
    await key_cache.refresh()
    await key_cache.authenticate_key(made.key)
    await _revoke(pool, made.id)
    key_cache._refreshed_at -= TRUSTED_SECONDS

    with pytest.raises(InvalidKey, match="revoked"):
        await key_cache.authenticate_key(made.key)


async def test_memory_lets_nobody_in_while_the_database_is_away(
    pool: Pool, key_cache: KeyCache, settings: Settings
) -> None:
    """It is not refused either: the key may be as good as ever."""
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


def test_what_is_trusted_is_younger_than_a_second_and_seen_twice() -> None:
    assert 2 * key_caches.REFRESH_SECONDS < key_caches.TRUSTED_SECONDS < 1.0


async def test_while_looks_fail_nobody_is_let_in_once_there_is_a_key(
    pool: Pool, key_cache: KeyCache
) -> None:
    await _make(pool)
    key_cache._refreshed_at -= TRUSTED_SECONDS
    assert key_cache.open

    assert await key_cache.authenticate_anonymous() is None
    assert not key_cache.open


async def test_a_revoked_key_makes_no_other_not_even_within_the_second(pool: Pool) -> None:
    made = await _make(pool, scopes=[Scope.ADMIN])
    who = replace(operator(), auth_method=AuthMethod.KEY, key_id=made.id)
    await _revoke(pool, made.id)

    async with pool.acquire() as conn:
        with pytest.raises(InvalidKey):
            await service.create(conn, who, CreateKey(scopes=[Scope.ADMIN]))

    assert await pool.fetchval("SELECT count(*) FROM api_keys") == 1


async def test_a_lookup_from_before_a_change_is_not_kept(
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


async def test_a_suspended_tenant_and_new_caps_are_heard(pool: Pool, key_cache: KeyCache) -> None:
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


async def test_the_door_is_open_until_there_is_a_key_and_never_again(
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


async def test_last_use_is_written_down_once_for_many_requests(
    pool: Pool, key_cache: KeyCache
) -> None:
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
    # It is no change that anybody must hear of.
    assert await pool.fetchval(generation) == counted


async def test_an_older_use_does_not_undo_a_newer_one(pool: Pool, key_cache: KeyCache) -> None:
    made = await _make(pool)
    newer = datetime.now(UTC) + timedelta(hours=1)
    await pool.execute("UPDATE api_keys SET last_used_at = $1", newer)

    await key_cache.authenticate_key(made.key)
    await key_cache.flush()

    assert await pool.fetchval("SELECT last_used_at FROM api_keys") == newer


async def test_a_seed_is_taken_once_and_stays_revoked(pool: Pool) -> None:
    key = new_key()
    presented = parse_key(key)
    assert presented is not None
    async with pool.acquire() as conn:
        assert await service.ensure_admin_key(conn, operator(), key)
        assert not await service.ensure_admin_key(conn, operator(), key)
        await service.revoke(conn, operator(), presented.id)
        assert not await service.ensure_admin_key(conn, operator(), key)
        assert (await service.find(conn, presented.id)).revoked_at is not None

        with pytest.raises(service.UnusableAdminKey, match="another secret"):
            await service.ensure_admin_key(conn, operator(), f"{key[:37]}{new_key()[37:]}")
        with pytest.raises(service.UnusableAdminKey, match="is not a key"):
            await service.ensure_admin_key(conn, operator(), "hunter2")


def test_keys_are_random_and_of_one_form() -> None:
    keys = {new_key() for _ in range(100)}

    assert len({key[37:] for key in keys}) == 100
    assert all(parse_key(key) is not None for key in keys)
    assert parse_key(f"crv_{uuid.uuid7().hex}_{'0123456789abcdef' * 4}") is not None
