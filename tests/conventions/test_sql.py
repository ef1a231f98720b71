"""Every SQL statement of the service fits the migrated database, and keeps tenants apart."""

import ast
import importlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from app.db import Pool
from tests.conventions.tenancy import unpinned
from tests.servers import ROOT

# Uppercase and followed by more words: no English sentence begins so.
_STATEMENT: Final = re.compile(r"\s*(SELECT|INSERT INTO|UPDATE|DELETE FROM|WITH)\s")
_CONSTANT: Final = re.compile(r"[A-Z][A-Z0-9_]*")

# Statements that serve all tenants at once, or none, and why they may; a module's name stands for
# all of its own.
_ACROSS_TENANTS: Final = {
    "app.executions.dispatch.claims": "a worker names rows by id and token of its own claim",
    "app.executions.store.SELECT_STATES": "the ids are those that their own tenants wait for",
    "app.executions.queue_limit.COUNT_QUEUED": "how much is queued in all, not whose it is",
    "app.executions.waiting.queue_position.SELECT_QUEUE_POSITION": "whether others wait",
    "app.executions.retention.EXPIRE_PAYLOADS": "what is due is due by its age, whoever's it is",
    "app.executions.retention.DELETE_EXECUTIONS": "what is due is due by its age, whoever's it is",
    "app.executions.retention.SELECT_REFERENCED_KEYS": "a blob that any row references is needed",
    "app.executions.dispatch.completion_report": "ids of what has just ended, of every tenant",
    "app.prometheus.store": "operators see every tenant's queue",
    "app.audit.store.SELECT_ENTRY_PAGE": "admins read of every tenant",
    "app.quotas.rates": "processes exchange their request counts of every tenant",
    "app.keys.store.SELECT_KEY": "admins manage the keys of every tenant",
    "app.keys.store.SELECT_KEY_PAGE": "admins manage the keys of every tenant",
    "app.keys.store.REVOKE_KEY": "admins manage the keys of every tenant",
    "app.keys.store.LOCK_KEY": "it is the caller's own key, which has been verified",
    "app.keys.store.SELECT_STORED_KEY": "whose a presented key is, is what it finds out",
    "app.keys.store.SELECT_KEYS_STATE": "whether there is any key at all",
    "app.keys.store.TOUCH_KEYS": "the keys are those that were verified a moment ago",
}


def _modules() -> Iterator[tuple[str, Path]]:
    for path in sorted((ROOT / "app").rglob("*.py")):
        # The launcher asks a database what it is before there is a service.
        if "embedded" not in path.parts:
            yield ".".join(path.relative_to(ROOT).with_suffix("").parts), path


def _constants(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    """Give the module-level assignments of one upper-case name, private ones too."""
    for node in tree.body:
        target = node.targets[0] if isinstance(node, ast.Assign) else None
        if isinstance(node, ast.AnnAssign):
            target = node.target
        if (
            isinstance(node, ast.Assign | ast.AnnAssign)
            and isinstance(target, ast.Name)
            and _CONSTANT.fullmatch(target.id.lstrip("_"))
            and node.value is not None
        ):
            yield target.id, node.value


def _statements() -> dict[str, str]:
    """Map the full name of each SQL constant to its text, fragments put together."""
    found = {}
    for module, path in _modules():
        for name, _ in _constants(ast.parse(path.read_bytes())):
            # Private ones are what public ones are put together from.
            if name.startswith("_"):
                continue
            text = getattr(importlib.import_module(module), name)
            if isinstance(text, str) and _STATEMENT.match(text):
                found[f"{module}.{name}"] = text
    return found


STATEMENTS: Final = _statements()


def test_there_are_statements() -> None:
    assert len(STATEMENTS) > 20


@pytest.mark.parametrize("name", STATEMENTS)
async def test_a_statement_can_be_prepared(pool: Pool, name: str) -> None:
    await pool.execute(f"PREPARE checked AS {STATEMENTS[name]}")


def test_sql_stands_in_constants_only() -> None:
    elsewhere = []
    for module, path in _modules():
        tree = ast.parse(path.read_bytes())
        in_constants = {id(part) for _, value in _constants(tree) for part in ast.walk(value)}
        elsewhere += [
            f"{module}:{node.lineno}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and _STATEMENT.match(node.value)
            and id(node) not in in_constants
        ]

    assert elsewhere == []


async def test_every_statement_on_tenants_data_is_pinned_to_one(pool: Pool) -> None:
    tables = await _tenants_tables(pool)

    loose = {name: unpinned(text, tables) for name, text in STATEMENTS.items()}

    assert {name: tables for name, tables in loose.items() if tables and not _reason(name)} == {}
    # Each exception is in use.
    needed = {name for name, tables in loose.items() if tables}
    assert {each for each in _ACROSS_TENANTS if not any(map(_is_of(each), needed))} == set()


async def test_every_table_is_a_tenant_s_or_known_to_be_nobody_s(pool: Pool) -> None:
    rows = await pool.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")

    # A new table without tenant_id would pass the test above by accident.
    nobodys = {row["tablename"] for row in rows} - await _tenants_tables(pool)
    assert nobodys == {
        "alembic_version",
        "access_generation",
        "installation",
        "retention_duties",
        "tenants",
        "workers",
    }


# What a query can get wrong, and what is right.
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
    "SELECT * FROM workers",
)


@pytest.mark.parametrize("sql", _LOOSE)
async def test_a_query_that_forgets_its_tenant_is_refused(pool: Pool, sql: str) -> None:
    assert unpinned(sql, await _tenants_tables(pool)) != []


@pytest.mark.parametrize("sql", _PINNED)
async def test_a_query_that_is_pinned_to_its_tenant_is_taken(pool: Pool, sql: str) -> None:
    assert unpinned(sql, await _tenants_tables(pool)) == []


async def _tenants_tables(pool: Pool) -> set[str]:
    rows = await pool.fetch(
        "SELECT table_name FROM information_schema.columns "
        "WHERE table_schema = 'public' AND column_name = 'tenant_id'"
    )
    return {row["table_name"] for row in rows}


def _reason(name: str) -> str:
    return next((why for each, why in _ACROSS_TENANTS.items() if _is_of(each)(name)), "")


def _is_of(exception: str) -> Callable[[str], bool]:
    return lambda name: name == exception or name.startswith(f"{exception}.")
