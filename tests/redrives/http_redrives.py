"""Requests of tests that re-drive failed work over HTTP."""

from typing import Any, Final
from uuid import uuid4

import httpx

from tests.support.system import System, until

# By id and name of the tenant; it has ended.
INSERT_REDRIVE: Final = """
INSERT INTO redrives (id, tenant_id, kind, filter, pipe_id, matched, status, finished_at)
SELECT $1, id, 'pipe', '{"pipe":"hidden"}', $1, 0, 'finished', now()
FROM tenants WHERE name = $2
"""


def redrive(system: System, filter_: dict[str, Any], **more: object) -> httpx.Response:
    return system.client.post("/redrives", json={"filter": filter_, **more})


def created(answer: httpx.Response) -> str:
    assert answer.status_code == 202, answer.text
    location: str = answer.headers["Location"]
    assert location == answer.json()["url"]
    return location


def ended(system: System, location: str) -> dict[str, Any]:
    for _ in until(f"{location} has ended"):
        shown: dict[str, Any] = system.client.get(location, params={"wait": 60}).json()
        if shown["finished_at"] is not None:
            return shown
    raise AssertionError


def counts(shown: dict[str, Any]) -> tuple[int, int, int, int, int, int]:
    names = ("matched", "moved", "dropped", "failed_again", "left_out", "remaining")
    matched, moved, dropped, failed_again, left_out, remaining = (shown[name] for name in names)
    assert matched == moved + dropped + failed_again + left_out + remaining
    return matched, moved, dropped, failed_again, left_out, remaining


def samples_of(plan: httpx.Response) -> list[tuple[str, str, object]]:
    assert plan.status_code == 200, plan.text
    return [(each["id"], each["outcome"], each.get("forward")) for each in plan.json()["samples"]]


def put_schema(system: System, kind: str, *, name: str | None = None) -> str:
    """Put a schema of events whose `n` is of a kind."""
    name = name or f"event-{uuid4()}"[:40]
    schema = {"type": "object", "properties": {"n": {"type": kind}}, "required": ["n"]}
    answer = system.client.put(f"/schemas/{name}", json={"schema": schema})
    assert answer.is_success, answer.text
    return name


def put_pipe(system: System, schema: str, to: dict[str, Any]) -> str:
    name = f"pipe-{uuid4()}"
    answer = system.client.put(
        f"/pipes/{name}", json={"from": {"http": {}}, "schema": schema, "to": to}
    )
    assert answer.is_success, answer.text
    return name


def put_dataset(system: System) -> str:
    name = f"sink-{uuid4()}"
    assert system.client.put(f"/datasets/{name}", json={"format": "jsonl"}).is_success
    return name


def send(system: System, pipe: str, events: list[bytes]) -> None:
    """Send events, and wait until the pipe has forwarded or refused them."""
    answer = system.client.post(
        f"/pipes/{pipe}/events",
        content=b"\n".join(events),
        headers={"Content-Type": "application/x-ndjson"},
    )
    assert answer.status_code == 202, answer.text
    for _ in until(f"{pipe} has done {len(events)} events"):
        done = system.client.get(f"/pipes/{pipe}").json()["counts"]
        if done["forwarded"] + done["refused"] == len(events):
            return


def lines_of(system: System, dataset: str) -> list[bytes]:
    """Return the lines of a dataset, sorted."""
    files = system.client.get(f"/datasets/{dataset}/files?limit=200").json()["items"]
    lines: list[bytes] = []
    for file in files:
        content = system.client.get(f"/datasets/{dataset}/files/{file['path']}").content
        lines += content.splitlines()
    return sorted(lines)
