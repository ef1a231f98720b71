"""Schemas of tests, put by a system's API."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import asyncpg

from tests.support.system import System

DEFAULT_TENANT = "00000000-0000-0000-0000-000000000001"


def put_schema(system: System, name: str, **schema: Any) -> str:  # noqa: ANN401 - JSON
    return asyncio.run(_put(system.environ["DATABASE_URL"], name, json.dumps(schema)))


async def _put(url: str, name: str, document: str) -> str:
    conn = await asyncpg.connect(url)
    try:
        tenant = await conn.fetchval("SELECT id FROM tenants ORDER BY created_at LIMIT 1")
        schema = await conn.fetchval(
            "INSERT INTO schemas (id, tenant_id, name) VALUES ($1, $2, $3) "
            "ON CONFLICT (tenant_id, name) DO UPDATE SET updated_at = now() RETURNING id",
            uuid4(),
            tenant,
            name,
        )
        version = await conn.fetchval(
            "INSERT INTO schema_versions (schema_id, version, tenant_id, document, strict) "
            "SELECT $1, 1 + count(*), $2, $3, true FROM schema_versions WHERE schema_id = $1 "
            "RETURNING version",
            schema,
            tenant,
            document.encode(),
        )
    finally:
        await conn.close()
    return f"{name}@{version}"
