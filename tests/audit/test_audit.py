"""The audit log records every change, is append-only, and contains no secrets."""

import asyncio
from typing import Any
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
from tests.audit.entries import SOURCE, found_entries
from tests.support.system_with_keys import SystemWithKeys


@pytest.mark.parametrize(
    "change",
    ["UPDATE audit_log SET action = 'key.made'", "DELETE FROM audit_log", "TRUNCATE audit_log"],
)
async def test_the_database_refuses_to_changefound_entries(pool: Pool, change: str) -> None:
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

    entries = found_entries(keyed, tenant_id=tenant, key_id=str(made.id))

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

    of_tenant = found_entries(keyed, target=f"/tenants/{tenant}")
    of_key = found_entries(keyed, target=f"/keys/{made.id}")

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
    whole = found_entries(keyed, **wanted)
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
    assert found_entries(keyed, **wanted, created_before=middle) == whole[3:]
    assert found_entries(keyed, **wanted, created_from=middle) == whole[:3]


@pytest.mark.parametrize("name", ["x" * 129, "a b", "a\tb", '"', "<script>", "{}"])
def test_a_malformed_request_id_is_replaced(keyed: SystemWithKeys, name: str) -> None:
    answer = keyed.post(
        "/tenants",
        json={"name": f"named-{uuid4()}"},
        headers={"X-Request-Id": name},
    )

    [entry] = found_entries(keyed, target=answer.headers["Location"])
    assert UUID(entry["request_id"]).version == 7


def test_a_clients_own_forwarded_for_is_ignored(keyed: SystemWithKeys) -> None:
    answer = keyed.post(
        "/tenants",
        json={"name": f"unproxied-{uuid4()}"},
        headers={"X-Forwarded-For": "203.0.113.9"},
    )

    [entry] = found_entries(keyed, target=answer.headers["Location"])
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

    [entry] = found_entries(keyed, target=answer.headers["Location"])
    assert entry["address"] == "203.0.113.9"
