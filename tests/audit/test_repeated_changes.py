"""A change that is repeated changes nothing, and is logged once."""

from typing import Any, Final
from uuid import uuid4

import pytest

from app.audit.model import Action
from tests.audit.entries import SOURCE, found_entries
from tests.datasets.stores import digest_of
from tests.dead_letters.letters import INSERT_LETTER
from tests.exports.stored_exports import INSERT_RUNNING
from tests.support.requests_with_bodies import FOLD
from tests.support.system import until
from tests.support.system_with_keys import CreatedTestKey, SystemWithKeys

LINE: Final = b'{"pk":"a"}\n'
PIPE: Final[dict[str, Any]] = {"from": {"http": {}}, "to": {"http": {"url": "https://example.com"}}}

# The request of each action, which is sent twice.
AGAIN: Final[dict[Action, tuple[str, str, dict[str, Any] | None]]] = {
    Action.SCRIPT_DESCRIBED: ("PATCH", "{script}", {"description": "told"}),
    Action.SCRIPT_ARCHIVED: ("DELETE", "{script}", None),
    Action.SCRIPT_RESTORED: ("PATCH", "{script}", {"archived": False}),
    Action.VERSION_ADDED: ("POST", "{script}/versions", {"source": f"{SOURCE} // more"}),
    Action.ALIAS_MOVED: ("PUT", "{script}/aliases/prod", {"version": 1}),
    Action.ALIAS_REMOVED: ("DELETE", "{script}/aliases/prod", None),
    Action.SCHEMA_CREATED: ("PUT", "{schema}-new", {"schema": {}}),
    Action.SCHEMA_DESCRIBED: ("PATCH", "{schema}", {"compatibility": "full"}),
    Action.SCHEMA_ARCHIVED: ("DELETE", "{schema}", None),
    Action.SCHEMA_RESTORED: ("PATCH", "{schema}", {"archived": False}),
    Action.TENANT_CHANGED: ("PATCH", "{tenant}", {"weight": 7, "caps": {"max_queued": 9}}),
    Action.TENANT_SUSPENDED: ("PATCH", "{tenant}", {"suspended": True}),
    Action.TENANT_RESUMED: ("PATCH", "{tenant}", {"suspended": False}),
    Action.KEY_REVOKED: ("DELETE", "{key}", None),
    Action.EXECUTION_CANCELLED: ("POST", "{execution}/cancel", None),
    Action.BATCH_CANCELLED: ("POST", "{batch}/cancel", None),
    Action.RUN_CANCELLED: ("POST", "{run}/cancel", None),
    Action.EXPORT_CANCELLED: ("POST", "{export}/cancel", None),
    Action.EXECUTION_ERASED: ("DELETE", "{execution}/data", None),
    Action.DATASET_CREATED: ("PUT", "{dataset}-new", {"key": "/pk"}),
    Action.DATASET_CHANGED: ("PUT", "{dataset}", {"key": "/pk", "description": "told"}),
    Action.DATASET_DELETED: ("DELETE", "{dataset}", None),
    Action.SNAPSHOT_PUBLISHED: (
        "POST",
        "{upload}/commit",
        {"files": [{"path": "a", "parts": 1, "digest": digest_of(LINE)}]},
    ),
    Action.SNAPSHOT_DELETED: ("DELETE", "{dataset}/snapshots/1", None),
    Action.UPLOAD_ABANDONED: ("DELETE", "{upload}", None),
    Action.PIPE_CREATED: ("PUT", "{pipe}-new", PIPE),
    Action.PIPE_CHANGED: ("PUT", "{pipe}", {**PIPE, "batch": {"events": 1}}),
    Action.PIPE_PAUSED: ("POST", "{pipe}/pause", None),
    Action.PIPE_RESUMED: ("POST", "{pipe}/resume", None),
    Action.PIPE_DELETED: ("DELETE", "{pipe}", None),
    Action.LETTER_ERASED: ("DELETE", "{letter}", None),
    Action.LETTERS_ERASED: ("DELETE", "/dead-letters?kind=timeout", None),
}
# Actions that create anew each time, or are refused the second time.
ANEW: Final = {
    Action.SCRIPT_CREATED,
    Action.TENANT_CREATED,
    Action.KEY_CREATED,
    Action.COMPARISON_CREATED,
    Action.REPLAYS_CREATED,
    Action.REDRIVE_CREATED,
    # Twice in tests/redrives/test_redrives_of_executions.py.
    Action.REDRIVE_CANCELLED,
    Action.EXECUTION_REPLAYED,
    Action.RUN_REPLAYED,
    Action.CALLBACK_RESENT,
    Action.CALLBACK_ENABLED,
    Action.SECRET_CREATED,
}
FIRST: Final = {
    Action.SCRIPT_RESTORED: Action.SCRIPT_ARCHIVED,
    Action.SCHEMA_RESTORED: Action.SCHEMA_ARCHIVED,
    Action.ALIAS_REMOVED: Action.ALIAS_MOVED,
    Action.TENANT_RESUMED: Action.TENANT_SUSPENDED,
    Action.PIPE_RESUMED: Action.PIPE_PAUSED,
    Action.EXECUTION_ERASED: Action.EXECUTION_CANCELLED,
}


def test_every_action_is_covered() -> None:
    assert set(AGAIN) | ANEW == set(Action)


@pytest.mark.parametrize("action", AGAIN)
def test_a_repeated_change_is_not_logged(keyed: SystemWithKeys, action: Action) -> None:
    name = f"again-{uuid4()}"
    tenant = keyed.tenant(name)
    made = keyed.key(tenant)
    script = keyed.post("/scripts", made.key, json={"name": name, "source": SOURCE}).json()
    ran = keyed.post(f"/scripts/{name}/executions", made.key, content=b"1")
    keyed.request("PUT", f"/schemas/{name}", made.key, json={"schema": {}})
    places = {
        "script": f"/scripts/{script['id']}",
        "schema": f"/schemas/{name}",
        "tenant": f"/tenants/{tenant}",
        "key": f"/keys/{keyed.key(tenant).id}",
        "execution": ran.headers["Location"],
        **_dataset(keyed, name, made),
        **_pipe(keyed, name, made),
    }
    if action is Action.EXECUTION_CANCELLED:
        # It stays queued, as its tenant's only slot is occupied.
        places["execution"] = _queued(keyed, tenant, name, made)
    elif action is Action.BATCH_CANCELLED:
        _queued(keyed, tenant, name, made)
        places["batch"] = _queued_batch(keyed, name, made)
    elif action is Action.RUN_CANCELLED:
        _queued(keyed, tenant, name, made)
        places["run"] = _queued_run(keyed, name, made)
    elif action is Action.EXPORT_CANCELLED:
        export = uuid4()
        keyed.execute(INSERT_RUNNING, export, name)
        places["export"] = f"/exports/{export}"
    elif action is Action.EXECUTION_ERASED:
        for _ in until("the execution has finished"):
            if keyed.get(places["execution"], made.key).json()["finished_at"]:
                break
    elif action in FIRST:
        _do(keyed, FIRST[action], places, made)

    _do(keyed, action, places, made)
    once = found_entries(keyed, tenant_id=tenant)
    # The keys of a suspended tenant are refused within a second.
    watched = places["tenant"] if action is Action.TENANT_SUSPENDED else places["script"]
    reader = None if action is Action.TENANT_SUSPENDED else made.key
    shown = keyed.get(watched, reader).text
    _do(keyed, action, places, made)

    assert once[0]["action"] == action
    assert found_entries(keyed, tenant_id=tenant) == once
    assert keyed.get(watched, reader).text == shown


def _do(
    keyed: SystemWithKeys, action: Action, places: dict[str, str], made: CreatedTestKey
) -> None:
    method, path, body = AGAIN[action]
    key = None if path in ("{tenant}", "{key}") else made.key
    more = {} if body is None else {"json": body}
    answer = keyed.request(method, path.format(**places), key, **more)
    # A missing alias and a finished execution are refused, without a change.
    assert answer.status_code in (200, 201, 204, 404, 409), answer.text


def _dataset(keyed: SystemWithKeys, name: str, made: CreatedTestKey) -> dict[str, str]:
    """Create a dataset with two snapshots, and an open upload that holds a file."""
    dataset = f"/datasets/{name}"
    assert keyed.request("PUT", dataset, made.key, json={"key": "/pk"}).is_success
    for _ in range(2):
        put = keyed.request("PUT", f"{dataset}/files/a", made.key, content=LINE)
        assert put.is_success, put.text
    upload = keyed.post(f"{dataset}/uploads", made.key, json={}).headers["Location"]
    part = keyed.request("PUT", f"{upload}/files/a/parts/1", made.key, content=LINE)
    assert part.is_success, part.text
    return {"dataset": dataset, "upload": upload}


def _pipe(keyed: SystemWithKeys, name: str, made: CreatedTestKey) -> dict[str, str]:
    """Create a pipe, and a dead letter that is of another."""
    pipe, letter = f"/pipes/{name}", uuid4()
    assert keyed.request("PUT", pipe, made.key, json=PIPE).is_success
    keyed.execute(INSERT_LETTER, letter, name)
    return {"pipe": pipe, "letter": f"/dead-letters/{letter}"}


def _queued_batch(keyed: SystemWithKeys, name: str, made: CreatedTestKey) -> str:
    headers = {"Content-Type": "application/x-ndjson"}
    submitted = keyed.post(f"/batches?script={name}", made.key, content=b"1", headers=headers)
    return str(submitted.headers["Location"])


def _queued_run(keyed: SystemWithKeys, name: str, made: CreatedTestKey) -> str:
    folded = keyed.post("/scripts", made.key, json={"name": f"{name}-fold", "source": FOLD})
    assert folded.status_code == 201, folded.text
    wanted = {"script": f"{name}-fold", "dataset": name}
    return str(keyed.post("/runs", made.key, json=wanted).headers["Location"])


def _queued(keyed: SystemWithKeys, tenant: str, name: str, made: CreatedTestKey) -> str:
    """Submit an execution that stays queued: the tenant's only slot is occupied."""
    keyed.request("PATCH", f"/tenants/{tenant}", json={"caps": {"max_running": 1}})
    loop = {"source": "function process(data) { while (data) {} }"}
    assert keyed.post(f"/scripts/{name}/versions", made.key, json=loop).status_code == 201
    keyed.post(f"/scripts/{name}/executions", made.key, content=b"1")
    submitted = keyed.post(f"/scripts/{name}/executions", made.key, content=b"1")
    return str(submitted.headers["Location"])
