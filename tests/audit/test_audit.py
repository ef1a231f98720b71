"""The audit log records every change, is append-only, and contains no secrets."""

import asyncio
from typing import Any, Final
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from msgspec.structs import replace

from app.audit.model import Action
from app.auth.model import Scope
from app.db import Pool
from app.keys.bootstrap import operator
from app.tenants import service as tenants
from app.tenants.model import CreateTenant, TenantNameTaken
from tests.datasets.stores import digest_of
from tests.support.requests_with_bodies import FOLD
from tests.support.system import until
from tests.support.system_with_keys import CreatedTestKey, SystemWithKeys

LINE = b'{"pk":"a"}\n'
SOURCE = "function process(data) { return 'hidden-in-a-source' }"


def _entries(keyed: SystemWithKeys, **wanted: object) -> list[dict[str, Any]]:
    answer = keyed.get("/audit", params=wanted)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


@pytest.mark.parametrize(
    "change",
    ["UPDATE audit_log SET action = 'key.made'", "DELETE FROM audit_log", "TRUNCATE audit_log"],
)
async def test_the_database_refuses_to_change_entries(pool: Pool, change: str) -> None:
    async with pool.acquire() as conn:
        await tenants.create(conn, operator(), CreateTenant(name="acme"))

    with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
        await pool.execute(change)

    assert await pool.fetchval("SELECT count(*) FROM audit_log") == 1


async def test_a_change_and_its_entry_are_one_transaction(pool: Pool) -> None:
    async with pool.acquire() as conn:
        await tenants.create(conn, operator(), CreateTenant(name="acme"))
        with pytest.raises(TenantNameTaken):
            await tenants.create(conn, operator(), CreateTenant(name="acme"))
        # Conversely, a change that cannot be logged is rolled back.
        unloggable = replace(operator(), address="no address")
        with pytest.raises(asyncpg.DataError):
            await tenants.create(conn, unloggable, CreateTenant(name="unheard-of"))

    assert await pool.fetchval("SELECT count(*) FROM audit_log") == 1
    assert await pool.fetchval("SELECT count(*) FROM tenants WHERE name = 'unheard-of'") == 0


async def test_concurrent_changes_are_all_logged(pool: Pool) -> None:
    async def create(number: int) -> None:
        async with pool.acquire() as conn:
            await tenants.create(conn, operator(), CreateTenant(name=f"tenant-{number}"))

    await asyncio.gather(*(create(number) for number in range(20)))

    assert await pool.fetchval("SELECT count(DISTINCT target) FROM audit_log") == 20
    assert await pool.fetchval("SELECT generation FROM access_generation") == 20


def test_changes_of_a_script_are_logged_with_key_address_and_request(keyed: SystemWithKeys) -> None:
    tenant = keyed.tenant("audited")
    made = keyed.key("audited")
    wanted = {"name": "noted", "source": SOURCE, "description": "hidden-in-a-description"}
    headers = {"X-Request-Id": "my-request/1"}
    script = keyed.post("/scripts", made.key, json=wanted, headers=headers).json()["id"]
    address = f"/scripts/{script}"
    again = {"source": SOURCE}
    later = {"source": f"{SOURCE} // hidden-in-a-comment"}
    for method, path, body in (
        ("PATCH", address, {"description": "hidden-in-another"}),
        ("POST", f"{address}/versions", again),
        ("POST", f"{address}/versions", later),
        ("PUT", f"{address}/aliases/prod", {"version": 2}),
        ("DELETE", f"{address}/aliases/prod", None),
        ("DELETE", address, None),
        ("PATCH", address, {"archived": False}),
    ):
        answer = keyed.request(method, path, made.key, **({} if body is None else {"json": body}))
        assert answer.status_code < 300, answer.text
    # A refused request changes nothing, nor does the same version again.
    assert keyed.post("/scripts", made.key, json=wanted).status_code == 409

    entries = _entries(keyed, tenant_id=tenant, key_id=str(made.id))

    assert [(each["action"], each["target"]) for each in reversed(entries)] == [
        (Action.SCRIPT_CREATED, address),
        (Action.SCRIPT_DESCRIBED, address),
        (Action.VERSION_ADDED, f"{address}/versions/2"),
        (Action.ALIAS_MOVED, f"{address}/aliases/prod"),
        (Action.ALIAS_REMOVED, f"{address}/aliases/prod"),
        (Action.SCRIPT_ARCHIVED, address),
        (Action.SCRIPT_RESTORED, address),
    ]
    assert {each["address"] for each in entries} == {"127.0.0.1"}
    assert {each["via"] for each in entries} == {"key"}
    assert entries[-1]["request_id"] == "my-request/1"
    assert len({each["request_id"] for each in entries}) == len(entries)
    assert entries[-1]["details"]["name"] == "noted"
    assert "hidden-in" not in str(entries)


def test_changes_of_tenants_and_keys_are_found_by_target(keyed: SystemWithKeys) -> None:
    tenant = keyed.tenant("managed")
    made = keyed.key("managed", [Scope.READ])
    keyed.request("PATCH", "/tenants/managed", json={"suspended": True})
    keyed.request("PATCH", "/tenants/managed", json={"suspended": False, "caps": {"max_queued": 1}})
    for _ in range(2):
        keyed.request("DELETE", f"/keys/{made.id}")

    of_tenant = _entries(keyed, target=f"/tenants/{tenant}")
    of_key = _entries(keyed, target=f"/keys/{made.id}")

    assert [each["action"] for each in reversed(of_tenant)] == [
        "tenant.created",
        "tenant.suspended",
        "tenant.resumed",
    ]
    assert of_tenant[0]["details"]["caps"] == {"max_queued": 1}
    assert [each["action"] for each in reversed(of_key)] == ["key.created", "key.revoked"]
    assert {each["tenant_id"] for each in of_tenant + of_key} == {tenant}
    # The operator's key belongs to another tenant.
    admin = UUID(keyed.admin_key[4:36])
    assert {each["key_id"] for each in of_tenant + of_key} == {str(admin)}


def test_entries_match_all_filters_and_appear_on_one_page_each(keyed: SystemWithKeys) -> None:
    tenant = keyed.tenant("filtered")
    for _ in range(5):
        keyed.key("filtered", [Scope.READ])
    wanted = {"tenant_id": tenant, "action": "key.created"}
    whole = _entries(keyed, **wanted)
    paged: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = keyed.get("/audit", params={**wanted, "limit": 2, **cursor}).json()
        paged += page["items"]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}

    assert len(whole) == 5
    assert paged == whole
    middle = whole[2]["created_at"]
    assert _entries(keyed, **wanted, created_before=middle) == whole[3:]
    assert _entries(keyed, **wanted, created_from=middle) == whole[:3]


@pytest.mark.parametrize("name", ["x" * 129, "a b", "a\tb", '"', "<script>", "{}"])
def test_a_malformed_request_id_is_replaced(keyed: SystemWithKeys, name: str) -> None:
    answer = keyed.post(
        "/tenants",
        json={"name": f"named-{uuid4()}"},
        headers={"X-Request-Id": name},
    )

    [entry] = _entries(keyed, target=answer.headers["Location"])
    assert UUID(entry["request_id"]).version == 7


def test_a_clients_own_forwarded_for_is_ignored(keyed: SystemWithKeys) -> None:
    answer = keyed.post(
        "/tenants",
        json={"name": f"unproxied-{uuid4()}"},
        headers={"X-Forwarded-For": "203.0.113.9"},
    )

    [entry] = _entries(keyed, target=answer.headers["Location"])
    assert entry["address"] == "127.0.0.1"


def test_the_address_that_a_trusted_proxy_reports_is_logged(keyed: SystemWithKeys) -> None:
    with keyed.system.another_api(CRIVO_TRUSTED_PROXIES="127.0.0.1, 10.0.0.0/8") as url:
        answer = httpx.post(
            f"{url}/tenants",
            json={"name": f"proxied-{uuid4()}"},
            headers={
                "X-Forwarded-For": "198.51.100.1, 203.0.113.9, 10.1.2.3",
                **keyed.authorized(),
            },
            trust_env=False,
        )

    [entry] = _entries(keyed, target=answer.headers["Location"])
    assert entry["address"] == "203.0.113.9"


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
    elif action is Action.EXECUTION_ERASED:
        for _ in until("the execution has finished"):
            if keyed.get(places["execution"], made.key).json()["finished_at"]:
                break
    elif action in FIRST:
        _do(keyed, FIRST[action], places, made)

    _do(keyed, action, places, made)
    once = _entries(keyed, tenant_id=tenant)
    # The keys of a suspended tenant are refused within a second.
    watched = places["tenant"] if action is Action.TENANT_SUSPENDED else places["script"]
    reader = None if action is Action.TENANT_SUSPENDED else made.key
    shown = keyed.get(watched, reader).text
    _do(keyed, action, places, made)

    assert once[0]["action"] == action
    assert _entries(keyed, tenant_id=tenant) == once
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
