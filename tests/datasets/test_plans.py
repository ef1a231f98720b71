"""Statements find rows of large datasets by indexes, whatever else there is."""

from typing import Final
from uuid import UUID

from app.datasets import catalog_store, commit_store, file_store, merge_store, retention
from app.db import Pool

_ID: Final = UUID(int=1)

# A statement, its arguments, and the conditions that an index answers.
_STATEMENTS: Final = [
    (file_store.SELECT_FILE, (_ID, _ID, 1, "a"), "path ="),
    (file_store.SELECT_FILE_PAGE, (_ID, _ID, 1, "a", 10), "path >"),
    (file_store.SELECT_FILE_PARTS, (_ID, _ID, 0, 5, 9, 10), "first_byte >="),
    (commit_store.INSERT_SNAPSHOT, (_ID, _ID, 1, "append"), "removed_in ="),
    (catalog_store.SELECT_ADDED_FILES, (_ID, _ID, 1, 1, 10), "added_in >="),
    (catalog_store.SELECT_REMOVED_FILES, (_ID, _ID, 1, _ID, 1, 10), "removed_in >="),
    (catalog_store.SELECT_ADDED_PARTS, (_ID, _ID, 1, 10), "sequence >="),
    (catalog_store.SELECT_PART_SEGMENTS, (_ID, _ID, 1, 10), "sequence <"),
    (merge_store.SELECT_PART_INDEXES, (_ID, _ID, 10), "dataset_id ="),
    (merge_store.SELECT_LIVE_RANGES, (_ID, _ID, 1, 9), "sequence >="),
    (retention.LOCK_EXPIRED_UPLOADS, (10,), "expires_at <"),
]


# 20 datasets of 500 files, of which half are current: so many that reading all of them is slow.
_TABLES: Final = {
    "datasets": """
        INSERT INTO datasets (id, tenant_id, name, format, hash_seed, last_snapshot)
        SELECT gen_random_uuid(), t.id, 'd' || n, 'jsonl', 1, 500
        FROM tenants AS t
        CROSS JOIN generate_series(1, 20) AS n
    """,
    "dataset_snapshots": """
        INSERT INTO dataset_snapshots
               (dataset_id, number, tenant_id, mode, files, raw_bytes, stored_bytes, lines, records,
                missing_keys)
        SELECT d.id, n, d.tenant_id, 'append', 1, 1, 1, 1, 1, 0
        FROM datasets AS d
        CROSS JOIN generate_series(1, 500) AS n
    """,
    "dataset_uploads": """
        INSERT INTO dataset_uploads (id, tenant_id, dataset_id, mode, snapshot, expires_at)
        SELECT gen_random_uuid(), d.tenant_id, d.id, 'append', n,
               clock_timestamp() + (n - 10) * interval '1 minute'
        FROM datasets AS d
        CROSS JOIN generate_series(1, 500) AS n
    """,
    "dataset_files": """
        INSERT INTO dataset_files
               (id, tenant_id, dataset_id, upload_id, path, added_in, removed_in, position, digest,
                parts, raw_bytes, stored_bytes, lines, records, missing_keys, duplicates)
        SELECT gen_random_uuid(), u.tenant_id, u.dataset_id, u.id, 'path/' || u.snapshot,
               u.snapshot, CASE WHEN u.snapshot % 2 = 0 THEN u.snapshot + 1 END, 1,
               sha256('a'), 3, 3, 3, 3, 3, 0, 0
        FROM dataset_uploads AS u
    """,
    "dataset_parts": """
        INSERT INTO dataset_parts
               (file_id, number, tenant_id, dataset_id, sequence, first_byte, first_line, sha256,
                raw_bytes, stored_bytes, index_bytes, lines, records, missing_keys, duplicates,
                ends_line, blob_key, index_key)
        SELECT f.id, n, f.tenant_id, f.dataset_id, 3 * f.added_in + n, n, n, sha256('a'), 1, 1, 1,
               1, 1, 0, 0, true, f.id || '/' || n, f.id || '/i/' || n
        FROM dataset_files AS f
        CROSS JOIN generate_series(1, 3) AS n
    """,
}


async def test_an_index_answers_each_condition(pool: Pool) -> None:
    missing: list[object] = []
    async with pool.acquire() as conn:
        transaction = conn.transaction()
        await transaction.start()
        # Pages that other tests have left would count in the plans.
        await conn.execute("TRUNCATE datasets CASCADE")
        # Rows are as they are: neither checked nor counted.
        await conn.execute("SET LOCAL session_replication_role = replica")
        for table, statement in _TABLES.items():
            await conn.execute(statement)
            await conn.execute(f"ANALYZE {table}")
        # A plan for any arguments, as pooled connections come to use.
        await conn.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        for number, (statement, arguments, condition) in enumerate(_STATEMENTS):
            # EXPLAIN of a statement with parameters would plan it for their values.
            await conn.execute(f"PREPARE s{number} AS {statement}")
            values = ", ".join(f"'{each}'" for each in arguments)
            rows = await conn.fetch(f"EXPLAIN (COSTS OFF) EXECUTE s{number}({values})")
            conditions = [row[0] for row in rows if "Index Cond" in row[0]]
            if not any(condition in each for each in conditions):
                missing.append((condition, [row[0] for row in rows]))
        await transaction.rollback()

    assert missing == []
