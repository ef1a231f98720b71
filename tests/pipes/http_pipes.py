"""Pipes, events and what becomes of them, for tests over HTTP."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from uuid import uuid4

import asyncpg
import httpx

from tests.support.system import System, until

NDJSON: Final = {"Content-Type": "application/x-ndjson"}
JSON: Final = {"Content-Type": "application/json"}
ORDER: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"n": {"type": "integer"}, "text": {"type": "string"}},
    "required": ["n"],
}


def put_dataset(system: System) -> str:
    name = f"sink-{uuid4()}"
    assert system.client.put(f"/datasets/{name}", json={"format": "jsonl"}).status_code == 201
    return name


def put_schema(system: System, document: object, *, name: str | None = None) -> str:
    name = name or f"schema-{uuid4()}"
    answer = system.client.put(f"/schemas/{name}", json={"schema": document})
    assert answer.is_success, answer.text
    return name


def put_script(system: System, source: str, **more: object) -> str:
    name = f"script-{uuid4()}"
    answer = system.client.put(f"/scripts/{name}", json={"source": source, **more})
    assert answer.is_success, answer.text
    return name


def put_pipe(system: System, name: str | None = None, **definition: Any) -> str:  # noqa: ANN401 - JSON
    name = name or f"pipe-{uuid4()}"
    wanted = {"from": {"http": {}}, "batch": {"wait_ms": 0}, **definition}
    answer = system.client.put(f"/pipes/{name}", json=wanted)
    assert answer.is_success, answer.text
    return name


def to_dataset(name: str) -> dict[str, object]:
    return {"dataset": {"dataset": name}}


def send(system: System, pipe: str, lines: list[bytes]) -> httpx.Response:
    return system.client.post(
        f"/pipes/{pipe}/events", content=b"\n".join(lines) + b"\n", headers=NDJSON
    )


def pause(system: System, pipe: str) -> None:
    """Pause a pipe, and wait until no worker has it any more: one may be reading events."""
    assert system.client.post(f"/pipes/{pipe}/pause").json()["state"] == "paused"
    for _ in until("no worker has the pipe"):
        if fetch_value(system, "SELECT worker_id IS NULL FROM pipes WHERE name = $1", pipe):
            break


def pipe_when(system: System, pipe: str, **wanted: object) -> dict[str, Any]:
    """Wait until members of a pipe, or of its counts, are these."""
    shown: dict[str, Any] = {}
    for _ in until(f"{pipe} has {wanted}, not {shown}"):
        shown = system.client.get(f"/pipes/{pipe}").json()
        flat = {**shown, **shown["counts"]}
        if all(flat[name] == value for name, value in wanted.items()):
            break
    return shown


def lines_of(system: System, dataset: str) -> list[bytes]:
    """Return the lines of a dataset in the order of its snapshots."""
    files = system.client.get(f"/datasets/{dataset}/files", params={"limit": 100}).json()["items"]
    lines: list[bytes] = []
    for file in sorted(files, key=lambda each: each["added_in"]):
        content = system.client.get(f"/datasets/{dataset}/files/{file['path']}").content
        lines += content.splitlines()
    return lines


def letters_of(system: System, pipe: str) -> list[dict[str, Any]]:
    """Read the dead letters of a pipe from the database's own table, oldest first."""
    answer = system.client.get("/dead-letters", params={"pipe": pipe, "limit": 100})
    assert answer.is_success, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items[::-1]


def fetch_value(system: System, statement: str, *values: object) -> object:
    """Read one value from the system's database."""

    async def fetch() -> object:
        conn = await asyncpg.connect(system.environ["DATABASE_URL"])
        try:
            return await conn.fetchval(statement, *values)
        finally:
            await conn.close()

    return asyncio.run(fetch())


@contextmanager
def locked(system: System, pipe: str) -> Iterator[None]:
    """Hold the row of a pipe for the length of the block."""
    with asyncio.Runner() as runner:
        conn = runner.run(asyncpg.connect(system.environ["DATABASE_URL"]))
        try:
            runner.run(conn.execute("BEGIN"))
            runner.run(conn.fetch("SELECT FROM pipes WHERE name = $1 FOR UPDATE", pipe))
            yield
        finally:
            runner.run(conn.close())


def event(n: int, **more: object) -> bytes:
    return json.dumps({"n": n, **more}).encode()
