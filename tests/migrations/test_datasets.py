"""A downgrade takes away datasets, what they count for quotas, and the scope of their keys."""

import asyncpg

from app.tenants.model import DEFAULT_TENANT
from tests.support.servers import alembic

_FILL = """
INSERT INTO datasets (id, tenant_id, name, format, hash_seed)
VALUES (gen_random_uuid(), $1, 'scores', 'text', 1);
INSERT INTO dataset_files (id, tenant_id, dataset_id, upload_id, path)
SELECT gen_random_uuid(), tenant_id, id, gen_random_uuid(), 'a' FROM datasets;
INSERT INTO dataset_parts (file_id, number, tenant_id, sha256, raw_bytes, stored_bytes,
                           index_bytes, lines, records, missing_keys, duplicates, ends_line,
                           blob_key)
SELECT id, 1, tenant_id, sha256('a'), 9, 5, 2, 1, 1, 0, 0, true, 'a' FROM dataset_files;
INSERT INTO api_keys (id, tenant_id, secret_sha256, scopes)
VALUES (gen_random_uuid(), $1, sha256('a'), '{datasets:write}'),
       (gen_random_uuid(), $1, sha256('b'), '{read,datasets:write}'),
       (gen_random_uuid(), $1, sha256('c'), '{read}');
"""


async def test_a_downgrade_takes_away_what_datasets_have_left(empty_database_url: str) -> None:
    alembic(empty_database_url, "upgrade", "head")
    connection = await asyncpg.connect(empty_database_url)
    try:
        await connection.execute(_FILL.replace("$1", f"'{DEFAULT_TENANT}'"))
        before = await connection.fetchval("SELECT sum(stored_bytes) FROM tenant_usage")

        alembic(empty_database_url, "downgrade", "0024")

        after = await connection.fetchval("SELECT sum(stored_bytes) FROM tenant_usage")
        keys = await connection.fetch(
            "SELECT scopes, revoked_at IS NOT NULL AS revoked FROM api_keys ORDER BY secret_sha256"
        )
    finally:
        await connection.close()
    assert (before, after) == (4_096, 0)
    assert sorted((row["scopes"], row["revoked"]) for row in keys) == [
        (["read"], False),
        (["read"], False),
        (["read"], True),
    ]
    alembic(empty_database_url, "upgrade", "head")
