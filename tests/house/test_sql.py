"""Every SQL statement of the service fits the migrated database, and keeps tenants apart."""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from app.db import Pool
from tests.servers import ROOT

# Uppercase and followed by more words: no English sentence begins so.
_STATEMENT: Final = re.compile(r"\s*(SELECT|INSERT INTO|UPDATE|DELETE FROM|WITH)\s")
_CONSTANT: Final = re.compile(r"[A-Z][A-Z0-9_]*")

# Modules that serve all tenants at once, or none, and why they may.
_ACROSS_TENANTS: Final = {
    "app.executions.claims": "a worker names rows by id and fencing token, from its own claim",
    "app.audit.store": "admins read of every tenant",
    "app.keys.store": "whose a key is, is what its statements find out; admins manage all",
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


async def test_a_statement_on_tenants_data_names_the_tenant(pool: Pool) -> None:
    rows = await pool.fetch(
        "SELECT table_name FROM information_schema.columns "
        "WHERE table_schema = 'public' AND column_name = 'tenant_id'"
    )
    tables = "|".join(row["table_name"] for row in rows)
    on_tenants_data = re.compile(rf"\b(FROM|JOIN|INTO|UPDATE)\s+({tables})\b")

    mixed = {
        name
        for name, text in STATEMENTS.items()
        if on_tenants_data.search(text) and not _names_the_tenant(text)
    }

    assert tables
    assert {name for name in mixed if name.rpartition(".")[0] not in _ACROSS_TENANTS} == set()


def test_every_exception_is_in_use() -> None:
    modules = {name.rpartition(".")[0] for name in STATEMENTS}

    assert set(_ACROSS_TENANTS) <= modules


def _names_the_tenant(text: str) -> bool:
    # An INSERT gives its rows a tenant; everything else must ask for one.
    if "INSERT INTO" in text:
        return "tenant_id" in text
    return re.search(r"\btenant_id = \$\d", text) is not None
