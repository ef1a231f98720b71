"""Closures are read once, within a tenant, and references resolve to exact versions."""

from uuid import UUID

import pytest
import uuid_utils.compat as uuid

from app.db import Pool
from app.references import LATEST
from app.schema_bundles import SchemaBundles, SchemaGone
from app.schemas import alias_store, resolution_store, store
from app.schemas.model import Compatibility
from app.schemas.problems import SchemaArchived, TooManySchemas
from app.schemas.refs import SchemaRef
from app.schemas.resolution_store import resolve, resolve_all_named
from app.tenants.model import DEFAULT_TENANT

OTHER = UUID("00000000-0000-7000-8000-0000000000aa")

Key = tuple[UUID, int]


async def _add(pool: Pool, name: str, *references: Key, strict: bool = False) -> Key:
    schema_id = uuid.uuid7()
    async with pool.acquire() as conn:
        await store.insert_schema(
            conn,
            DEFAULT_TENANT,
            schema_id,
            name=name,
            description="",
            compatibility=Compatibility.NONE,
        )
    return await _version(pool, (schema_id, 0), name, *references, strict=strict)


async def _version(
    pool: Pool, before: Key, name: str, *references: Key, strict: bool = False
) -> Key:
    schema_id, number = before
    async with pool.acquire() as conn:
        await store.insert_version(
            conn,
            DEFAULT_TENANT,
            schema_id,
            version=number + 1,
            document=f'"{name}"'.encode(),
            strict=strict,
            note="",
            verdict=None,
            references=references,
        )
    return schema_id, number + 1


async def test_a_closure_has_all_that_a_version_refers_to(pool: Pool) -> None:
    leaf = await _add(pool, "leaf", strict=True)
    left, right = await _add(pool, "left", leaf), await _add(pool, "right", leaf)
    root = await _add(pool, "root", left, right, strict=True)
    await _add(pool, "unrelated")
    bundles = SchemaBundles()

    found = await bundles.schemas(pool, DEFAULT_TENANT, [root])

    uris = {f"crivo:/schemas/{name}@1": f'"{name}"' for name in ("root", "left", "right", "leaf")}
    assert found.documents == {uri: text.encode() for uri, text in uris.items()}
    assert found.strict == {"crivo:/schemas/root@1", "crivo:/schemas/leaf@1"}
    assert await bundles.uri(pool, DEFAULT_TENANT, *leaf) == "crivo:/schemas/leaf@1"


async def test_what_was_read_is_not_read_again_unless_it_had_to_go(pool: Pool) -> None:
    leaf = await _add(pool, "leaf")
    root = await _add(pool, "root", leaf)
    bundles, small = SchemaBundles(), SchemaBundles(max_bytes=1_100)
    read = await bundles.schemas(pool, DEFAULT_TENANT, [root])
    assert await small.schemas(pool, DEFAULT_TENANT, [root]) == read
    assert await small.schemas(pool, DEFAULT_TENANT, [root]) == read
    await pool.execute("DELETE FROM schema_references")
    await pool.execute("DELETE FROM schema_versions")

    assert await bundles.schemas(pool, DEFAULT_TENANT, [root]) == read
    with pytest.raises(SchemaGone):
        await small.schemas(pool, DEFAULT_TENANT, [root, leaf])


async def test_another_tenants_versions_are_gone(pool: Pool) -> None:
    root = await _add(pool, "root")
    bundles = SchemaBundles()
    await bundles.schemas(pool, DEFAULT_TENANT, [root])

    with pytest.raises(SchemaGone):
        await bundles.schemas(pool, OTHER, [root])


async def test_all_schemas_of_a_prefix_resolve_by_alias_or_to_the_newest(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await _add(pool, "shop.orders")
    second = await _version(pool, first, "shop.orders")
    await _add(pool, "shop.returns")
    await _add(pool, "shopping")
    await pool.execute("UPDATE schemas SET archived_at = now() WHERE name = 'shop.returns'")
    async with pool.acquire() as conn:
        await alias_store.put_alias(conn, DEFAULT_TENANT, first[0], alias="prod", version=1)

        async def named(prefix: str, alias: str | None) -> list[str]:
            found = await resolve_all_named(conn, DEFAULT_TENANT, prefix, alias)
            return [each.ref for each in found]

        assert await named("shop.", None) == ["shop.orders@2"]
        assert await named("shop", "prod") == ["shop.orders@1"]
        assert await named("", LATEST) == ["shop.orders@2", "shopping@1"]
        assert await named("shop_", None) == []
        assert await resolve_all_named(conn, OTHER, "", None) == []
        ref = SchemaRef(schema=second[0])
        assert (await resolve(conn, DEFAULT_TENANT, ref)).uri == "crivo:/schemas/shop.orders@2"
        with pytest.raises(SchemaArchived):
            await resolve(conn, DEFAULT_TENANT, SchemaRef(schema="shop.returns"))
        monkeypatch.setattr(resolution_store, "MAX_NAMED", 1)
        with pytest.raises(TooManySchemas):
            await named("shop", None)
