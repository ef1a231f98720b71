"""Datasets that tests export over HTTP, and what is stored of their exports."""

import asyncio
from typing import Any, Final, TypeVar
from uuid import UUID, uuid4

import asyncpg
import httpx
import msgspec

from app.exports.plan.model import Plan
from tests.support.system import System

T = TypeVar("T")

LINE: Final = b'{"event_id":"e","timestamp":"2021-01-01T00:00:00Z","event_type":"a"}\n'


def put_dataset(system: System, **more: object) -> str:
    """Publish two files of records; return the dataset's name."""
    name = f"events-{uuid4()}"
    assert system.client.put(f"/datasets/{name}", json=more).status_code == 201
    for path in ("a.jsonl", "b/c.jsonl"):
        put_file(system, name, path)
    return name


def put_file(system: System, dataset: str, path: str) -> None:
    answer = system.client.put(f"/datasets/{dataset}/files/{path}", content=LINE)
    assert answer.is_success, answer.text


def create(system: System, dataset: str, **more: Any) -> httpx.Response:  # noqa: ANN401 - any JSON
    headers = more.pop("headers", None)
    return system.client.post("/exports", json={"dataset": dataset, **more}, headers=headers)


def row_of(system: System, location: str, sql: str) -> asyncpg.Record:
    async def read() -> asyncpg.Record:
        conn = await asyncpg.connect(system.environ["DATABASE_URL"])
        try:
            row = await conn.fetchrow(sql, UUID(location.rpartition("/")[2]))
            assert row is not None
            return row
        finally:
            await conn.close()

    return asyncio.run(read())


def plan_in(system: System, location: str) -> Plan:
    plan = row_of(system, location, "SELECT plan FROM exports WHERE id = $1")["plan"]
    return msgspec.json.decode(plan, type=Plan)


def task_inputs(system: System, location: str, shape: type[T]) -> list[T]:
    sql = "SELECT array_agg(input) AS inputs FROM export_tasks WHERE export_id = $1"
    return [
        msgspec.json.decode(each, type=shape) for each in row_of(system, location, sql)["inputs"]
    ]
