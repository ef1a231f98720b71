"""Every SQL statement fits the migrated database, names its parameters, keeps tenants apart."""

import ast
import re
from collections.abc import Callable
from typing import Final

import asyncpg
import pytest

from app.db import Pool
from app.sql_parameters import in_order, parameter_names
from tests.conventions.named_parameters import (
    MAX_POSITIONAL,
    body_calls,
    calls,
    misplaced,
    parameters,
)
from tests.conventions.statements import STATEMENT, constants, modules, statements
from tests.conventions.tenancy import unpinned
from tests.support.servers import ROOT

# Statements that serve all tenants at once, or none, with the reason; a module's name stands for
# all of its statements.
_ACROSS_TENANTS: Final = {
    "app.executions.dispatch.claims": "a worker names rows by id and fencing token",
    "app.executions.dispatch.slot_offers": "a worker names rows by id and fencing token",
    "app.runs.engines.assignment_store": "ids and fencing tokens of a worker's own claims",
    "app.executions.dispatch.outcome_groups": "a worker names rows by id and fencing token",
    "app.executions.store.SELECT_STATES": "ids that readers wait for, found under their tenants",
    "app.batches.store.SELECT_STATES": "ids that readers wait for, found under their tenants",
    "app.redrives.store.SELECT_STATES": "ids that readers wait for, found under their tenants",
    "app.runs.store.SELECT_STATES": "ids that readers wait for, found under their tenants",
    "app.exports.script_store.SELECT_DUE": "a worker goes on with exports of any tenant",
    "app.exports.script_store.SELECT_OUTPUTS": "a worker deletes outputs of any tenant",
    "app.exports.store.SELECT_STATES": "ids that readers wait for, found under their tenants",
    "app.batches.store.SELECT_UNCANCELLED": "interrupted cancellations of all tenants",
    "app.batches.retention.DELETE_BATCHES": "batches expire by age, across tenants",
    "app.runs.advance_store.LOCK_RUN": "a worker advances runs of any tenant",
    "app.runs.advance_store.TRY_LOCK_RUN": "a worker advances runs of any tenant",
    "app.runs.advance_store.SELECT_DUE_RUNS": "a worker advances runs of any tenant",
    "app.exports.advance_store.LOCK_ADVANCING": "a worker advances exports of any tenant",
    "app.exports.advance_store.TRY_LOCK_ADVANCING": "a worker advances exports of any tenant",
    "app.exports.advance_store.SELECT_DUE_EXPORTS": "a worker advances exports of any tenant",
    "app.exports.claim_store.CLAIM_TASK": "a worker runs tasks of any tenant",
    "app.exports.task_store.TAKE_TASK": "ids and a fencing token of a worker's own claim",
    "app.exports.retention": "exports, their files and bad rows expire by age, across tenants",
    "app.runs.retention": "runs, and what they keep of records, expire by age, across tenants",
    "app.batches.staging_store.DELETE_ABANDONED": "uploads are abandoned by age, across tenants",
    "app.executions.queue_limit.COUNT_QUEUED": "the installation's total",
    "app.executions.waiting.queue_position.SELECT_QUEUE_POSITION": "whether other tenants wait",
    "app.executions.retention.EXPIRE_PAYLOADS": "payloads expire by age, across tenants",
    "app.executions.retention.DELETE_EXECUTIONS": "executions expire by age, across tenants",
    "app.executions.retention.SELECT_REFERENCED_KEYS": "a blob that any row references is needed",
    "app.executions.dispatch.completion_report": "the ids of executions that have just ended",
    "app.dead_letters.retention.DELETE_LETTERS": "letters expire by age, across tenants",
    "app.datasets.merge_store.CLAIM_DATASET": "a worker merges indexes of any tenant's dataset",
    "app.datasets.retention.LOCK_EXPIRED_UPLOADS": "uploads expire by age, across tenants",
    "app.datasets.retention.DELETE_UPLOADS": "uploads expire by age, across tenants",
    "app.datasets.retention.SELECT_DUE_DATASETS": "snapshots expire by age, across tenants",
    "app.datasets.retention.SELECT_REFERENCED_KEYS": "a blob that any row references is needed",
    "app.pipes.lease_store.CLAIM_PIPES": "a worker holds pipes of any tenant",
    "app.pipes.lease_store.COUNT_WAITING": "a worker holds pipes of any tenant",
    "app.pipes.lease_store.RENEW_LEASES": "a worker names pipes by id and fencing token",
    "app.pipes.lease_store.RELEASE_LEASES": "a worker names pipes by id and fencing token",
    "app.callbacks.delivery.claims": "a process names rows by id and fencing token",
    "app.idempotency.store.DELETE_EXPIRED": "keys expire by time, across tenants",
    "app.comparisons.pair_store.CLAIM_COMPARISON": "any worker compares what is due",
    "app.comparisons.pair_store.DELETE_COMPARISONS": "comparisons expire by age, across tenants",
    "app.redrives.lease_store.CLAIM_REDRIVE": "any worker tries what is due",
    "app.redrives.lease_store.DELETE_REDRIVES": "re-drives expire by age, across tenants",
    "app.comparisons.store.SELECT_STATES": "ids that readers wait for, found under their tenants",
    "app.prometheus.store": "operators see the queues of all tenants",
    "app.audit.store.SELECT_ENTRY_PAGE": "admins read the log of all tenants",
    "app.quotas.rates": "processes exchange the counts of all tenants",
    "app.keys.store.SELECT_KEY": "admins manage the keys of all tenants",
    "app.keys.store.SELECT_KEY_PAGE": "admins manage the keys of all tenants",
    "app.keys.store.REVOKE_KEY": "admins manage the keys of all tenants",
    "app.keys.store.LOCK_KEY": "the id is that of the caller's verified key",
    "app.keys.store.SELECT_STORED_KEY": "it finds out the tenant of a presented key",
    "app.keys.store.SELECT_KEYS_STATE": "whether any key exists",
    "app.keys.store.TOUCH_KEYS": "the ids are those of keys just verified",
}


STATEMENTS: Final = statements()


def test_there_are_statements() -> None:
    assert len(STATEMENTS) > 20


async def test_every_statement_can_be_prepared(pool: Pool) -> None:
    refused = {}
    async with pool.acquire() as connection:
        for name, text in STATEMENTS.items():
            # By the protocol, as the service does: PREPARE does not take CALL.
            try:
                await connection.prepare(text)
            except asyncpg.PostgresError as error:
                refused[name] = str(error)

    assert refused == {}


def test_every_statement_with_many_parameters_names_them() -> None:
    for name, text in STATEMENTS.items():
        named = parameters(text)
        if len(named) > MAX_POSITIONAL:
            # As PostgreSQL's parser reads it and as in_order does.
            assert [named[each] for each in sorted(named)] == list(parameter_names(text)), name
            assert misplaced(text) == [], name


def test_ages_are_bounds_that_an_index_can_serve() -> None:
    # clock_timestamp() is volatile: what is compared with it is read, however young it is.
    volatile = re.compile(r"[<>]=?\s*clock_timestamp\(\)\s*-")

    assert [name for name, text in STATEMENTS.items() if volatile.search(text)] == []


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT f(a => $1, b => $2::text)", {1: "a", 2: "b"}),
        ("CALL p(a => $1)", {1: "a"}),
        ("INSERT INTO t (a) SELECT $1::text::inet AS a LIMIT $2", {1: "a", 2: "limit"}),
        ("WITH p AS (SELECT $1::uuid AS id) SELECT p.id FROM p", {1: "id"}),
        ("SELECT f($1)", {1: None}),
        ("INSERT INTO t (a) VALUES ($1)", {1: None}),
        ("SELECT $1 + 1 AS a", {1: None}),
        ("SELECT $1 AS a, $1 AS b", {1: None}),
        ("UPDATE t SET a = coalesce($1, a)", {1: None}),
    ],
)
def test_what_names_a_parameter(sql: str, expected: dict[int, str | None]) -> None:
    assert parameters(sql) == expected


def test_a_parameter_under_another_column_is_found() -> None:
    assert misplaced("INSERT INTO t (a, b) SELECT $1 AS b, $2 AS b") == [("a", "b")]


def test_values_come_in_the_order_of_the_parameters() -> None:
    statement = "SELECT f(a => $2, b => $10::text, c => $1) LIMIT $3"

    assert in_order(statement, a=1, b=2, c=3, limit=4) == [3, 1, 4, 2]
    for values in ({"a": 1}, {"a": 1, "b": 2, "c": 3, "d": 4}):
        with pytest.raises(TypeError, match="the statement takes"):
            in_order(statement, **values)


async def test_a_function_that_code_calls_has_a_version(pool: Pool) -> None:
    ours = {
        row["proname"]
        for row in await pool.fetch(
            "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
        )
    }
    called = {each for text in STATEMENTS.values() for each, _, _ in calls(text)} & ours

    assert len(called) >= 4
    assert {each for each in called if not re.search(r"_v\d+$", each)} == set()


def test_a_call_with_many_arguments_names_them_in_the_database_too() -> None:
    files = sorted((ROOT / "migrations" / "sql").glob("*.sql"))
    found = [(file.name, body_calls(file.read_text(encoding="utf-8"))) for file in files]

    assert found
    assert [
        (file, name)
        for file, calls_of_file in found
        for name, count, named in calls_of_file
        if count > MAX_POSITIONAL and not named
    ] == []


def test_sql_is_in_constants_only() -> None:
    elsewhere = []
    for module, path in modules():
        tree = ast.parse(path.read_bytes())
        in_constants = {id(part) for _, value in constants(tree) for part in ast.walk(value)}
        elsewhere += [
            f"{module}:{node.lineno}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and STATEMENT.match(node.value)
            and id(node) not in in_constants
        ]

    assert elsewhere == []


async def test_every_statement_on_tenants_data_is_pinned_to_a_tenant(pool: Pool) -> None:
    tables = await _tables_of_tenants(pool)

    loose = {name: unpinned(text, tables) for name, text in STATEMENTS.items()}

    assert {name: tables for name, tables in loose.items() if tables and not _reason(name)} == {}
    # No exception is out of date.
    needed = {name for name, tables in loose.items() if tables}
    assert {each for each in _ACROSS_TENANTS if not any(map(_is_of(each), needed))} == set()


async def test_a_table_without_tenant_is_a_known_one(pool: Pool) -> None:
    rows = await pool.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")

    # The test above does not see a new table that lacks its tenant_id.
    shared = {row["tablename"] for row in rows} - await _tables_of_tenants(pool)
    assert shared == {
        "alembic_version",
        "access_generation",
        "installation",
        "retention_duties",
        "slot_offers",
        "tenants",
        "workers",
    }


_LOOSE: Final = (
    "SELECT * FROM scripts WHERE id = $1",
    "SELECT * FROM scripts WHERE id = $1 -- tenant_id = $2",
    "SELECT *, 'tenant_id = $2' FROM scripts",
    "SELECT * FROM scripts WHERE tenant_id = $1 OR id = $2",
    "SELECT * FROM scripts WHERE NOT tenant_id = $1",
    "SELECT * FROM scripts WHERE tenant_id <> $1",
    "SELECT * FROM scripts WHERE tenant_id = tenant_id",
    "SELECT * FROM scripts WHERE id = $1 AND $2 = $2",
    "SELECT tenant_id = $1 FROM scripts",
    "SELECT * FROM scripts AS s JOIN payloads AS p ON true WHERE s.tenant_id = $1",
    "SELECT * FROM scripts AS s LEFT JOIN script_versions AS v ON s.tenant_id = $1",
    "SELECT * FROM scripts AS s, script_versions AS v WHERE s.tenant_id = v.tenant_id",
    "SELECT * FROM scripts WHERE tenant_id = $1 AND id IN (SELECT script_id FROM script_versions)",
    "SELECT id FROM scripts WHERE tenant_id = $1 UNION SELECT id FROM scripts",
    "WITH x AS (SELECT * FROM scripts) SELECT * FROM x WHERE tenant_id = $1",
    "SELECT (SELECT count(*) FROM scripts)",
    "UPDATE scripts SET name = $1 WHERE id = $2",
    "UPDATE scripts SET tenant_id = $1",
    "UPDATE scripts AS s SET name = $1 FROM executions AS e WHERE e.tenant_id = $2",
    "DELETE FROM scripts WHERE id = $1",
    "INSERT INTO scripts (id) VALUES ($1)",
    "INSERT INTO scripts (id, tenant_id) SELECT $1, tenant_id FROM scripts",
    "INSERT INTO scripts (id, tenant_id) VALUES ($1, $2), ($1, DEFAULT)",
    "INSERT INTO scripts (id, tenant_id) SELECT $1, $2 UNION ALL SELECT $1, gen_random_uuid()",
    (
        "INSERT INTO scripts AS s (id, tenant_id) VALUES ($1, $2) "
        "ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name"
    ),
    (
        "WITH p AS (SELECT gen_random_uuid() AS tenant_id) "
        "SELECT * FROM p JOIN scripts AS s ON s.tenant_id = p.tenant_id"
    ),
    "MERGE INTO scripts USING scripts AS s ON true WHEN MATCHED THEN DELETE",
    "TRUNCATE scripts",
)
_PINNED: Final = (
    "SELECT * FROM scripts WHERE tenant_id = $1 AND (id = $2 OR name = $3)",
    "SELECT * FROM scripts AS s WHERE $1::uuid = s.tenant_id",
    (
        "SELECT * FROM scripts AS s JOIN script_versions AS v ON v.tenant_id = s.tenant_id "
        "WHERE s.tenant_id = $1"
    ),
    (
        "SELECT * FROM scripts AS s LEFT JOIN script_versions AS v ON v.tenant_id = s.tenant_id "
        "WHERE s.tenant_id = $1"
    ),
    (
        "SELECT (SELECT count(*) FROM executions AS e WHERE e.tenant_id = s.tenant_id) "
        "FROM scripts AS s WHERE s.tenant_id = $1"
    ),
    "WITH scripts AS (SELECT 1) SELECT * FROM scripts",
    (
        "WITH x AS (DELETE FROM scripts WHERE tenant_id = $1 RETURNING *) "
        "SELECT * FROM executions AS e JOIN x ON x.tenant_id = e.tenant_id"
    ),
    "INSERT INTO scripts (id, tenant_id) SELECT id, tenant_id FROM scripts WHERE tenant_id = $1",
    "INSERT INTO scripts (id, tenant_id) SELECT $1, $2 UNION ALL SELECT $1, $2 WHERE $3 > 0",
    (
        "INSERT INTO scripts AS s (id, tenant_id) VALUES ($1, $2) "
        "ON CONFLICT (id) DO UPDATE SET name = $3 WHERE s.tenant_id = EXCLUDED.tenant_id"
    ),
    (
        "WITH p AS NOT MATERIALIZED (SELECT $1::uuid AS tenant_id) "
        "SELECT * FROM p JOIN scripts AS s ON s.tenant_id = p.tenant_id"
    ),
    (
        "WITH p AS (SELECT $1::uuid AS tenant_id, $2 AS id) "
        "INSERT INTO scripts (id, tenant_id) SELECT p.id, p.tenant_id FROM p"
    ),
    "SELECT * FROM workers",
)


async def test_a_query_across_tenants_is_found(pool: Pool) -> None:
    tables = await _tables_of_tenants(pool)

    assert [sql for sql in _LOOSE if not unpinned(sql, tables)] == []


async def test_a_query_pinned_to_a_tenant_passes(pool: Pool) -> None:
    tables = await _tables_of_tenants(pool)

    assert [sql for sql in _PINNED if unpinned(sql, tables)] == []


async def _tables_of_tenants(pool: Pool) -> set[str]:
    rows = await pool.fetch(
        "SELECT table_name FROM information_schema.columns "
        "WHERE table_schema = 'public' AND column_name = 'tenant_id'"
    )
    return {row["table_name"] for row in rows}


def _reason(name: str) -> str:
    return next((why for each, why in _ACROSS_TENANTS.items() if _is_of(each)(name)), "")


def _is_of(exception: str) -> Callable[[str], bool]:
    return lambda name: name == exception or name.startswith(f"{exception}.")
