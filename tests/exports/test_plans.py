"""Statements about exports find their rows by indexes, however many have finished."""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final
from uuid import UUID

import msgspec

from app.db import Pool
from app.exports import (
    advance_store,
    claim_store,
    destination_store,
    publish_store,
    retention,
    script_store,
)
from app.exports.error_store import SELECT_ERRORS, select_errors
from app.exports.refs import ErrorPosition
from app.tenants.model import DEFAULT_TENANT

_ID: Final = UUID(int=1)
_PLACE: Final = "s3://lake/default"
_ALL_READ: Final = re.compile(r"Seq Scan on export(s|_files|_errors)\b")

# A statement, its arguments, the index that answers it, and a bound of what it reads there.
_STATEMENTS: Final = [
    (destination_store.SELECT_THERE, (_ID, _PLACE), "exports_destination_idx", "destination ="),
    (destination_store.SELECT_THERE, (_ID, _PLACE), "exports_published_idx", "destination ="),
    (claim_store.CLAIM_TASK, (_ID, 1, 60, True), "exports_destination_idx", "destination ="),
    (publish_store.SELECT_HAS_TURN, (_ID, _ID, _PLACE), "exports_destination_idx", "destination ="),
    (publish_store.FORGET_REPLACED, (_ID, _ID, _PLACE), "exports_published_idx", "destination ="),
    (advance_store.SELECT_DUE_EXPORTS, (100, "{}"), "export_tasks_left_idx", ""),
    (advance_store.SELECT_ACTIVE, (_ID, _ID), "export_tasks_left_idx", ""),
    (retention.DELETE_FILES, (30, 1_000), "exports_files_idx", "finished_at <"),
    (retention.DELETE_ERRORS, (30, 1_000), "exports_errors_idx", "finished_at <"),
    (script_store.SELECT_OUTPUTS, (10,), "exports_script_idx", "finished_at >"),
]

# 10,000 finished exports to one destination, which have no files any more, and 30 that go on: 10 of
# them have most of their tasks done.
_TABLES: Final = {
    "exports": """
        INSERT INTO exports
               (id, tenant_id, dataset_id, dataset, snapshot, request, plan, plan_sha256,
                destination, input_sha256, status, stage, raw_bytes, rows_failed, files_deleted_at,
                errors_deleted_at, created_at, finished_at)
        SELECT gen_random_uuid(), t.id, t.id, 'd', 1, '{}', '{}', sha256(''),
               CASE WHEN n % 2 = 0 THEN 's3://lake/default' END, sha256(''),
               CASE WHEN n <= 30 THEN 'running' ELSE 'succeeded' END,
               CASE WHEN n <= 10 THEN 'map' ELSE 'publish' END, 1, 1,
               CASE WHEN n > 30 THEN now() END, CASE WHEN n > 30 THEN now() END, now(),
               CASE WHEN n > 30 THEN now() - interval '60 days' END
        FROM tenants AS t
        CROSS JOIN generate_series(1, 10030) AS n
    """,
    "export_tasks": """
        INSERT INTO export_tasks (export_id, stage, number, tenant_id, done_token, finished_at)
        SELECT e.id, e.stage, t.number, e.tenant_id, CASE WHEN t.done THEN 1 END,
               CASE WHEN t.done THEN now() END
        FROM exports AS e
        CROSS JOIN LATERAL (
            SELECT n AS number, e.finished_at IS NOT NULL OR n > 10 AS done
            FROM generate_series(1, CASE WHEN e.stage = 'map' THEN 500 ELSE 1 END) AS n
        ) AS t
    """,
    "export_files": """
        INSERT INTO export_files
               (export_id, lease_token, number, tenant_id, stage, partition, name, rows, bytes,
                sha256, published)
        SELECT id, 1, n, tenant_id, 'whole', '[]', n || '.parquet', 1, 1, sha256(''), true
        FROM exports
        CROSS JOIN generate_series(1, 2) AS n
    """,
    "export_errors": """
        INSERT INTO export_errors
               (export_id, lease_token, number, tenant_id, path, line, error, record)
        SELECT id, 1, 1, tenant_id, 'a', 1, '{}', '{}'
        FROM exports
    """,
}


async def test_an_index_leads_to_the_exports_that_count(pool: Pool) -> None:
    missing: list[object] = []
    async with pool.acquire() as conn:
        transaction = conn.transaction()
        await transaction.start()
        # Pages that other tests have left would count in the plans.
        await conn.execute("TRUNCATE exports CASCADE")
        # Rows are as they are: neither checked nor counted.
        await conn.execute("SET LOCAL session_replication_role = replica")
        for table, statement in _TABLES.items():
            await conn.execute(statement)
            await conn.execute(f"ANALYZE {table}")
        # A plan for any arguments, as pooled connections come to use.
        await conn.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        for number, (statement, arguments, index, bound) in enumerate(_STATEMENTS):
            await conn.execute(f"PREPARE s{number} AS {statement}")
            values = ", ".join(f"'{each}'" for each in arguments)
            rows = await conn.fetch(f"EXPLAIN (COSTS OFF) EXECUTE s{number}({values})")
            plan = [row[0] for row in rows]
            if not _reads(plan, index, bound) or any(_ALL_READ.search(each) for each in plan):
                missing.append((index, plan))
        await transaction.rollback()

    assert missing == []


def _reads(plan: Sequence[str], index: str, bound: str) -> bool:
    """Return whether a plan reads a part of an index, up to a bound if there is one."""
    return any(
        index in each and bound in (condition if "Index Cond" in condition else "")
        for each, condition in pairwise([*plan, ""])
    )


# Of one export: 40 tasks, of which every fourth has found 30 bad rows, and none is counted.
_BAD_ROWS: Final = (
    """
    INSERT INTO exports
           (id, tenant_id, dataset_id, dataset, snapshot, request, plan, plan_sha256, input_sha256,
            status, stage, raw_bytes, created_at)
    VALUES ($1, $2, $2, 'd', 1, '{}', '{}', sha256(''), sha256(''), 'running', 'map', 1, now())
    """,
    """
    INSERT INTO export_tasks (export_id, stage, number, tenant_id, done_token, finished_at)
    SELECT $1, 'map', n, $2, 100 - n, now()
    FROM generate_series(1, 40) AS n
    """,
    """
    INSERT INTO export_errors (export_id, lease_token, number, tenant_id, path, line, error, record)
    SELECT $1, 100 - 4 * t, n, $2, 'a', 1000 * 4 * t + n, '{}', '{}'
    FROM generate_series(1, 10) AS t
    CROSS JOIN generate_series(1, 30) AS n
    """,
)


async def test_a_page_of_bad_rows_reads_those_of_its_tasks(pool: Pool) -> None:
    lines: list[int] = []
    async with pool.acquire() as conn:
        transaction = conn.transaction()
        await transaction.start()
        await conn.execute("SET LOCAL session_replication_role = replica")
        for statement in _BAD_ROWS:
            await conn.execute(statement, _ID, DEFAULT_TENANT)
        await conn.execute("ANALYZE export_tasks, export_errors")
        after = ErrorPosition()
        while page := await select_errors(
            conn, DEFAULT_TENANT, _ID, after=after, limit=7, with_excerpts=False
        ):
            lines += [each.line for each in page]
            after = page[-1].position
        await conn.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        await conn.execute(f"PREPARE page AS {SELECT_ERRORS}")
        position = "false, 12, 'map', 20, 7, 7"
        [(plan,)] = await conn.fetch(
            f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE page('{DEFAULT_TENANT}', '{_ID}', {position})"
        )
        await transaction.rollback()

    assert lines == [4_000 * task + n for task in range(1, 11) for n in range(1, 31)]
    # The next task's first one says that the page is full.
    assert _rows_read(msgspec.json.decode(plan)[0]["Plan"], "export_errors") <= 2 * 7


def _rows_read(node: dict[str, Any], table: str) -> float:
    """Return how many rows of a table a plan has read, those that it leaves out included."""
    rows = 0.0
    if node.get("Relation Name") == table:
        each = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
        rows = each * node["Actual Loops"]
    return rows + sum(_rows_read(below, table) for below in node.get("Plans", ()))
