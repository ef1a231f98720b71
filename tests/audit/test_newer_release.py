"""Entries and keys of a newer release can be read, before an update or after a removal."""

from typing import cast
from uuid import UUID

from app.audit.model import Action, EntryFilter
from app.audit.store import log_action, select_entry_page
from app.auth.model import Scope
from app.db import Pool
from app.keys.bootstrap import operator
from app.keys.model import new_key, parse_key
from app.keys.store import insert_key, select_key, select_stored_key
from app.tenants.model import DEFAULT_TENANT


async def test_actions_and_scopes_of_a_newer_release_are_listed(pool: Pool) -> None:
    scopes = ["read", "moons:write"]
    key = parse_key(new_key())
    assert key is not None
    async with pool.acquire() as conn:
        transaction = conn.transaction()
        await transaction.start()
        await conn.execute("ALTER TABLE api_keys DROP CONSTRAINT api_keys_scopes_check")
        await insert_key(
            conn,
            DEFAULT_TENANT,
            key,
            name="newer",
            scopes=cast("list[Scope]", scopes),
            expires_at=None,
        )
        await log_action(conn, operator(), cast("Action", "moon.created"), "/moons/1")

        entries = await select_entry_page(
            conn,
            EntryFilter(**dict.fromkeys(EntryFilter.__struct_fields__)),
            below=UUID(int=2**128 - 1),
            limit=9,
        )
        listed = await select_key(conn, key.id)
        stored = await select_stored_key(conn, key.id)
        await transaction.rollback()

    assert [each.action for each in entries] == ["moon.created"]
    assert listed is not None
    assert list(listed.scopes) == scopes
    assert stored is not None
    assert stored.scopes == [Scope.READ]
