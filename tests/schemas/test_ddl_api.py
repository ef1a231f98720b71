"""Tables of schemas over HTTP: of exactly one version, with what it refers to."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.support.schemas import put_schema
from tests.support.system import System
from tests.support.tables import fields


def test_a_table_is_of_one_version_and_what_it_refers_to(system: System) -> None:
    name = f"types-{uuid4()}"
    user = put_schema(system, name, **{"$defs": {"user": fields(id={"type": "string"})}})
    events = f"events-{uuid4()}"
    old = put_schema(system, events, **fields(by={"$ref": f"crivo:/schemas/{user}#/$defs/user"}))
    put_schema(system, events, **fields(by={"type": "string"}, at={"format": "date-time"}))
    options = {
        "dialect": "athena",
        "format": "json",
        "location": "s3://lake/events",
        "partition": ["year:int", "day:date"],
    }

    first = system.client.get(f"/schemas/{old}/ddl", params=options)
    newest = system.client.get(f"/schemas/{events}/ddl", params={**options, "name": "db.events"})

    assert first.status_code == 200
    assert first.headers["content-type"] == "application/sql"
    assert first.text.startswith(f"CREATE EXTERNAL TABLE `{events.replace('-', '_')}` (")
    assert "`by` struct<`id`:string>\n" in first.text
    assert "PARTITIONED BY (`year` int, `day` date)" in first.text
    assert newest.headers["content-location"].startswith(f"/schemas/{events}@2/ddl?")
    assert newest.text.startswith("CREATE EXTERNAL TABLE `db`.`events` (\n  `by` string,")


@pytest.mark.parametrize(
    ("options", "parameter"),
    [
        ("", "location"),
        ("dialect=oracle", "dialect"),
        ("dialect=athena", "location"),
        ("dialect=athena&location=s3://b/a%27b/", "location"),
        ("dialect=hive&name=a%60b", "name"),
        ("dialect=hive&partition=id:int", "partition"),
        ("dialect=duckdb&partition=x:struct", "partition"),
    ],
)
def test_an_option_that_does_not_fit_is_named(system: System, options: str, parameter: str) -> None:
    ref = put_schema(system, f"options-{uuid4()}", **fields(id={"type": "string"}))

    refused = system.client.get(f"/schemas/{ref}/ddl?{options}")

    assert refused.status_code == 422
    assert parameter in refused.json()["detail"]


def test_what_has_no_type_is_refused_with_its_place(system: System) -> None:
    ref = put_schema(system, f"free-{uuid4()}", **fields(a={"type": "object"}))

    refused = system.client.get(f"/schemas/{ref}/ddl?dialect=duckdb")

    assert refused.status_code == 422
    assert refused.json()["type"].endswith("no-table-type")
    assert refused.json()["errors"] == [
        {"pointer": "/properties/a", "message": "an object without fields has no type"}
    ]


def test_tables_are_made_in_turns(system: System) -> None:
    ref = put_schema(system, f"wide-{uuid4()}", **_wide())

    def show(_: int) -> httpx.Response:
        return system.client.get(f"/schemas/{ref}/ddl?dialect=duckdb")

    with ThreadPoolExecutor(40) as threads:
        answers = list(threads.map(show, range(40)))

    # The queue of a tenant is bounded: other tenants' requests pass those that wait in it.
    refused = [each for each in answers if each.status_code != 200]
    assert 0 < len(refused) < len(answers)
    assert {each.json()["type"] for each in refused} == {"urn:crivo:problem:too-many-checks"}


def _wide() -> dict[str, Any]:
    return fields(**{f"p{n}": {"type": "string"} for n in range(2_500)})
