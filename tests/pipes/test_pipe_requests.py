"""Requests about pipes: what is refused, repeated, bounded and kept apart, and what it leaves."""

import asyncio
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from app.auth.model import Scope
from tests.pipes.http_pipes import (
    JSON,
    NDJSON,
    ORDER,
    event,
    fetch_value,
    locked,
    pause,
    pipe_when,
    put_dataset,
    put_pipe,
    put_schema,
    put_script,
    send,
    to_dataset,
)
from tests.support.system import System, until
from tests.support.system_with_keys import SystemWithKeys

_LOCK_LETTERS = """
SELECT d.pipe_id FROM dead_letters AS d JOIN pipes AS p ON p.id = d.pipe_id
WHERE p.name = $1 FOR UPDATE OF d
"""
_HELD = "SELECT worker_id IS NOT NULL FROM pipes WHERE name = $1"
_INBOX = "SELECT count(*) FROM pipe_inbox WHERE pipe_id = $1"
_RESTS = "SELECT worker_id IS NULL FROM pipes WHERE name = 'mine'"


@pytest.fixture
def dataset(system: System) -> str:
    return put_dataset(system)


def test_a_paused_pipe_takes_events_and_forwards_none(system: System, dataset: str) -> None:
    pipe = put_pipe(system, to=to_dataset(dataset))
    for _ in range(2):
        pause(system, pipe)
    send(system, pipe, [event(1)])
    assert pipe_when(system, pipe, state="paused")["lag"]["events"] == 1

    for _ in range(2):
        system.client.post(f"/pipes/{pipe}/resume")

    pipe_when(system, pipe, forwarded=1, state="running")
    shown = system.client.get(f"/pipes/{pipe}").json()
    assert shown["revision"] == 3


def test_a_pipe_with_events_or_letters_is_deleted_only_if_they_may_go(
    system: System, dataset: str
) -> None:
    pipe = put_pipe(system, schema=put_schema(system, ORDER), to=to_dataset(dataset))
    send(system, pipe, [b"no json"])
    pipe_when(system, pipe, refused=1, dead_letters=1)
    pause(system, pipe)
    send(system, pipe, [event(1)])
    other = {"from": {"dataset": {"dataset": put_dataset(system)}}, "to": to_dataset(dataset)}

    refused = system.client.delete(f"/pipes/{pipe}")
    changed = system.client.put(f"/pipes/{pipe}", json=other)
    erased = system.client.delete(f"/pipes/{pipe}", params={"erase": "true"})

    assert (refused.status_code, changed.status_code, erased.status_code) == (409, 409, 204)
    assert refused.json()["type"] == changed.json()["type"] == "urn:crivo:problem:pipe-not-empty"
    assert system.client.get(f"/pipes/{pipe}").status_code == 404


async def test_what_a_pipe_has_is_erased_before_its_row_is_held(
    system: System, dataset: str
) -> None:
    pipe = put_pipe(system, to=to_dataset(dataset))
    send(system, pipe, [b"no json"])
    pipe_when(system, pipe, dead_letters=1)
    system.client.post(f"/pipes/{pipe}/pause")
    conn = await asyncpg.connect(system.environ["DATABASE_URL"])
    other = await asyncpg.connect(system.environ["DATABASE_URL"])
    try:
        async with asyncio.timeout(30):
            while await other.fetchval(_HELD, pipe):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.02)
        send(system, pipe, [event(1)])
        async with conn.transaction():
            # As a re-drive does: the end of the deletion waits for this letter.
            pipe_id = await conn.fetchval(_LOCK_LETTERS, pipe)
            deletion = asyncio.create_task(
                asyncio.to_thread(system.client.delete, f"/pipes/{pipe}", params={"erase": "true"})
            )
            async with asyncio.timeout(30):
                while await other.fetchval(_INBOX, pipe_id):  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.02)
        assert (await deletion).status_code == 204
    finally:
        await conn.close()
        await other.close()


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"", JSON, 422),
        (b" \n\n", NDJSON, 422),
        (b"x" * (2**20 + 1), JSON, 413),
        (b"1\n" + b"x" * (2**20 + 1), NDJSON, 413),
        (b"1", {"Content-Type": "text/plain"}, 415),
        (b"1", {**JSON, "Crivo-Event-Id": "http:1:1"}, 400),
        (b"1", {**NDJSON, "Crivo-Event-Id": "mine"}, 400),
    ],
)
def test_what_is_no_event_is_refused(
    system: System, dataset: str, body: bytes, headers: dict[str, str], status: int
) -> None:
    pipe = put_pipe(system, to=to_dataset(dataset))

    answer = system.client.post(f"/pipes/{pipe}/events", content=body, headers=headers)

    assert answer.status_code == status, answer.text
    assert system.client.get(f"/pipes/{pipe}").json()["lag"]["events"] == 0


def test_a_full_inbox_refuses_events_before_they_are_stored(system: System, dataset: str) -> None:
    pipe = put_pipe(system, to=to_dataset(dataset))
    pause(system, pipe)
    with system.another_api(CRIVO_MAX_PIPE_INBOX_EVENTS="3") as url:
        assert send(system, pipe, [event(n) for n in range(3)]).status_code == 202

        full = system.client.post(f"{url}/pipes/{pipe}/events", content=event(4), headers=JSON)

        assert full.status_code == 429, full.text
        assert full.json()["type"] == "urn:crivo:problem:inbox-full"
        assert full.headers["Retry-After"] == "2"
        system.client.post(f"/pipes/{pipe}/resume")
        pipe_when(system, pipe, forwarded=3)
        for _ in until("there is room"):
            answer = system.client.post(
                f"{url}/pipes/{pipe}/events", content=event(4), headers=JSON
            )
            if answer.status_code == 202:
                break
    pipe_when(system, pipe, forwarded=4)


@pytest.mark.parametrize(
    ("change", "status", "pointer"),
    [
        ({"to": {}}, 422, "/to"),
        ({"from": {"http": {}, "dataset": {"dataset": "x"}}}, 422, "/from"),
        ({"schema": "nothing@3"}, 404, "/schema"),
        ({"script": "nothing"}, 404, "/script"),
        ({"to": {"dataset": {"dataset": "nothing"}}}, 404, "/to/dataset/dataset"),
    ],
)
def test_a_definition_is_refused_by_its_pointer(
    system: System, dataset: str, change: dict[str, Any], status: int, pointer: str
) -> None:
    wanted = {"from": {"http": {}}, "to": to_dataset(dataset), **change}

    answer = system.client.put(f"/pipes/pipe-{uuid4()}", json=wanted)

    assert answer.status_code == status, answer.text
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert answer.json()["detail"].startswith(f"{pointer}: ")


def test_a_pipe_does_not_read_what_it_writes(system: System, dataset: str) -> None:
    loop = {"from": {"dataset": {"dataset": dataset}}, "to": to_dataset(dataset)}

    assert system.client.put(f"/pipes/pipe-{uuid4()}", json=loop).status_code == 422


def test_pipes_of_tenants_are_apart_and_rest_with_a_suspended_one(keyed: SystemWithKeys) -> None:
    keyed.tenant("pipes-owner")
    owner = keyed.key("pipes-owner").key
    keyed.tenant("pipes-stranger")
    stranger = keyed.key("pipes-stranger").key
    assert keyed.request("PUT", "/datasets/mine", owner, json={}).is_success
    definition = {"from": {"http": {}}, "to": to_dataset("mine"), "batch": {"wait_ms": 0}}
    assert keyed.request("PUT", "/pipes/mine", owner, json=definition).status_code == 201

    foreign = keyed.request("PUT", "/pipes/mine", stranger, json=definition)
    assert foreign.status_code == 404, foreign.text
    assert keyed.get("/pipes", stranger).json()["items"] == []
    keyed.request("PATCH", "/tenants/pipes-owner", json={"suspended": True})
    keyed.execute(
        "WITH t AS (SELECT id, tenant_id FROM pipes WHERE name = 'mine') "
        "INSERT INTO pipe_inbox (tenant_id, pipe_id, events, body) "
        "SELECT tenant_id, id, 1, '1' FROM t"
    )
    for _ in until("the pipe of the suspended tenant is released"):
        if fetch_value(keyed.system, _RESTS):
            break
    assert fetch_value(keyed.system, "SELECT count(*) FROM pipe_inbox") == 1
    keyed.request("PATCH", "/tenants/pipes-owner", json={"suspended": False})
    keyed.becomes(200, owner)
    for _ in until("the pipe goes on"):
        if keyed.get("/pipes/mine", owner).json()["counts"]["forwarded"] == 1:
            break


def test_a_pipe_takes_the_scopes_of_the_datasets_that_it_uses(keyed: SystemWithKeys) -> None:
    own = keyed.key("default", [Scope.WRITE_PIPES]).key
    read, written = {"dataset": {"dataset": "a"}}, {"dataset": {"dataset": "b"}}

    for definition, scope in (
        ({"from": read, "to": {"redis_stream": {"stream": "out"}}}, "read"),
        ({"from": {"http": {}}, "to": written}, "datasets:write"),
    ):
        refused = keyed.request("PUT", "/pipes/sly", own, json=definition)
        assert refused.status_code == 403, refused.text
        assert scope in refused.json()["detail"]


def test_pipes_neither_form_a_ring_nor_share_a_group(system: System, dataset: str) -> None:
    first, second, third = (f"s-{uuid4()}" for _ in range(3))

    def stream(name: str, **more: str) -> Any:  # noqa: ANN401 - JSON
        return {"redis_stream": {"stream": name, **more}}

    put_pipe(system, **{"from": stream(first), "to": stream(second)})
    middle = put_pipe(system, **{"from": stream(second), "to": stream(third)})
    for wanted, pointer in (
        ({"from": stream(third), "to": stream(first)}, "/to"),
        ({"from": stream(third), "to": stream(third)}, "/to"),
        ({"from": to_dataset(dataset), "to": to_dataset(dataset)}, "/to"),
        (
            {"from": stream(second, group=middle), "to": to_dataset(dataset)},
            "/from/redis_stream/group",
        ),
    ):
        refused = system.client.put(f"/pipes/pipe-{uuid4()}", json=wanted)

        assert refused.status_code == 422, refused.text
        assert refused.json()["errors"][0]["pointer"] == pointer
    changed = {"from": stream(second), "to": stream(first), "batch": {"wait_ms": 0}}
    assert system.client.put(f"/pipes/{middle}", json=changed).status_code == 422


def test_a_pipe_goes_on_with_a_schema_that_is_archived(system: System, dataset: str) -> None:
    schema = put_schema(system, ORDER)
    pipe = put_pipe(system, schema=f"{schema}@1", to=to_dataset(dataset))
    assert system.client.delete(f"/schemas/{schema}").is_success

    put_pipe(system, pipe, schema=f"{schema}@1", to=to_dataset(dataset))
    send(system, pipe, [event(1), b'{"id": "1"}'])

    pipe_when(system, pipe, forwarded=1, refused=1)
    other = {"from": {"http": {}}, "schema": schema, "to": to_dataset(dataset)}
    refused = system.client.put("/pipes/late", json=other)
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (409, "/schema")


def test_a_put_that_changes_nothing_is_answered_whatever_was_archived(
    system: System, dataset: str
) -> None:
    script = put_script(system, "function map(event) { return event }")
    definition: dict[str, Any] = {"script": f"{script}@1", "to": to_dataset(dataset)}
    pipe = put_pipe(system, **definition)
    before = system.client.get(f"/pipes/{pipe}").json()
    assert system.client.delete(f"/scripts/{script}").is_success

    put_pipe(system, pipe, **definition)
    changed = {**definition, "from": {"http": {}}, "batch": {"wait_ms": 1}}
    refused = system.client.put(f"/pipes/{pipe}", json=changed)

    assert system.client.get(f"/pipes/{pipe}").json()["updated_at"] == before["updated_at"]
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (409, "/script")


def test_a_pointer_that_is_none_is_named(system: System, dataset: str) -> None:
    wanted = {"from": {"http": {}}, "schema": {"by": ["/a", "b"]}, "to": to_dataset(dataset)}

    refused = system.client.put("/pipes/by", json=wanted)

    assert refused.json()["detail"] == (
        "/schema/by/1: expected a JSON pointer, which is empty or begins with /, of at most 500 "
        'characters, got "b"'
    )


def test_a_choice_of_more_schemas_than_a_cell_takes_is_refused(
    system: System, dataset: str
) -> None:
    prefix = f"large-{uuid4().hex[:8]}."
    for number in range(36):
        long = {"type": "object", "description": "x" * 1_000_000}
        answer = system.client.put(f"/schemas/{prefix}{number}", json={"schema": long})
        assert answer.is_success, answer.text
    wanted = {"from": {"http": {}}, "schema": {"by": ["/a"], "prefix": prefix}}

    refused = system.client.put("/pipes/wide", json={**wanted, "to": to_dataset(dataset)})

    assert refused.status_code == 422, refused.text
    assert refused.json()["detail"].startswith("/schema: the schemas have more than")


def test_a_request_that_is_refused_waits_for_no_lock(system: System, dataset: str) -> None:
    pipe = put_pipe(system, to=to_dataset(dataset))
    wanted = {"from": {"http": {}}, "to": to_dataset("missing")}

    with locked(system, pipe):
        put = system.client.put(f"/pipes/{pipe}", json=wanted)
        sent = system.client.post(f"/pipes/{pipe}/events", content=b"", headers=NDJSON)

    assert (put.status_code, sent.status_code) == (404, 422)
