"""The library and the command line show tables of schemas."""

import json
from pathlib import Path
from uuid import uuid4

import pytest

from crivo import Crivo
from crivo.cli.exit_codes import ExitCode
from crivo.errors import Refused
from tests.support.crivo_command import CrivoCommand


def test_tables_are_shown_and_written(client: Crivo, crivo: CrivoCommand, tmp_path: Path) -> None:
    name = f"tables_{uuid4().hex[:8]}"
    schema = {"type": "object", "properties": {"at": {"type": "string", "format": "date"}}}
    client.schemas.push(name, json.dumps(schema))
    flags = ("--dialect", "athena", "--location", "s3://lake/a", "--partition", "year:int")
    file = tmp_path / "table.sql"

    sql = client.schemas.ddl(f"{name}@1", "athena", location="s3://lake/a", partition=["year:int"])
    printed = crivo("schemas", "ddl", name, *flags)
    written = crivo("schemas", "ddl", name, *flags, "--to", file)

    assert sql.startswith(f"CREATE EXTERNAL TABLE `{name}` (\n  `at` date\n)")
    assert "PARTITIONED BY (`year` int)" in sql
    assert (printed.code, printed.text.strip()) == (ExitCode.OK, sql.strip())
    assert (written.text, file.read_text()) == ("", sql)


def test_what_has_no_type_is_refused_with_its_place(client: Crivo) -> None:
    name = f"tables-{uuid4().hex[:8]}"
    client.schemas.push(name, '{"type":"object","properties":{"a":true}}')

    with pytest.raises(Refused, match="/properties/a: ") as refused:
        client.schemas.ddl(name, "duckdb")

    assert refused.value.problem.type.endswith("no-table-type")
