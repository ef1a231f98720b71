"""Tenants over HTTP: their names, caps and suspension."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from app.tenants.model import DEFAULT_TENANT
from tests.support.system_with_keys import SystemWithKeys

SOURCE = "function process(data) { return data }"


def _problem(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["Content-Type"] == "application/problem+json"
    return answer.status_code, answer.json()["type"].removeprefix("urn:crivo:problem:")


def test_a_tenant_is_found_by_its_name_and_its_id(keyed: SystemWithKeys) -> None:
    made = keyed.post("/tenants", json={"name": "found", "weight": 7, "caps": {"max_queued": 3}})

    assert made.status_code == 201
    assert keyed.get(made.headers["Location"]).json() == made.json()
    assert keyed.get("/tenants/found").json() == made.json()
    assert made.json()["caps"]["max_queued"] == 3
    assert made.json()["caps"]["max_running"] is None
    assert keyed.get(f"/tenants/{DEFAULT_TENANT}").json()["name"] == "default"


def test_of_concurrent_requests_for_a_name_one_succeeds(keyed: SystemWithKeys) -> None:
    def create(_: int) -> int:
        return keyed.post("/tenants", json={"name": "wanted-by-many"}).status_code

    with ThreadPoolExecutor(8) as clients:
        statuses = sorted(clients.map(create, range(8)))

    assert statuses == [201] + [409] * 7


@pytest.mark.parametrize(
    "name", ["", "Acme", "a b", "a\n", "\x00", "x" * 64, "01900000-0000-7000-8000-000000000000"]
)
def test_an_invalid_name_is_422(keyed: SystemWithKeys, name: str) -> None:
    assert _problem(keyed.post("/tenants", json={"name": name})) == (422, "invalid-request")


@pytest.mark.parametrize("name", ["nobody", "a%00", "%ff", "A", "x" * 1000])
def test_an_unknown_tenant_is_404(keyed: SystemWithKeys, name: str) -> None:
    assert _problem(keyed.get(f"/tenants/{name}")) == (404, "tenant-not-found")


def test_an_absent_cap_stays_and_null_restores_the_default(keyed: SystemWithKeys) -> None:
    caps = {"max_queued": 5, "max_stored_bytes": 2**40, "max_scripts": 9}
    keyed.post("/tenants", json={"name": "capped", "caps": caps})

    changed = keyed.request(
        "PATCH",
        "/tenants/capped",
        json={"weight": 3, "caps": {"max_queued": None, "max_running": 2}},
    ).json()

    assert changed["weight"] == 3
    assert {name: cap for name, cap in changed["caps"].items() if cap is not None} == {
        "max_stored_bytes": 2**40,
        "max_scripts": 9,
        "max_running": 2,
    }
    assert keyed.get("/tenants/capped").json() == changed


@pytest.mark.parametrize(
    "change",
    [
        {"weight": 0},
        {"weight": 10_001},
        {"caps": {"max_queued": 0}},
        {"caps": {"max_queued": 2**31}},
        {"caps": {"max_stored_bytes": 2**53}},
        {"caps": {"max_everything": 1}},
        {"name": "other"},
        {"suspended": "yes"},
    ],
)
def test_an_invalid_change_is_422(keyed: SystemWithKeys, change: dict[str, object]) -> None:
    answer = keyed.request("PATCH", "/tenants/default", json=change)

    assert _problem(answer) == (422, "invalid-request")


def test_the_operators_tenant_cannot_be_suspended(keyed: SystemWithKeys) -> None:
    answer = keyed.request("PATCH", "/tenants/default", json={"suspended": True})

    assert _problem(answer) == (409, "operators-tenant")
    assert keyed.get("/scripts").status_code == 200


def test_a_suspended_tenant_is_refused_until_it_is_resumed(keyed: SystemWithKeys) -> None:
    keyed.tenant("suspended")
    made = keyed.key("suspended")
    assert keyed.get("/scripts", made.key).status_code == 200

    keyed.request("PATCH", "/tenants/suspended", json={"suspended": True})
    refused = keyed.becomes(403, made.key)
    assert _problem(refused) == (403, "tenant-suspended")
    submitted = keyed.post("/executions", made.key, json={"script": "x", "data": 1})
    assert _problem(submitted) == (403, "tenant-suspended")
    # A key created meanwhile is refused, too.
    assert keyed.get("/scripts", keyed.key("suspended").key).status_code == 403

    resumed = keyed.request("PATCH", "/tenants/suspended", json={"suspended": False})
    assert resumed.json()["suspended_at"] is None
    keyed.becomes(200, made.key)


def test_each_tenant_is_on_one_page(keyed: SystemWithKeys) -> None:
    for number in range(3):
        keyed.tenant(f"page-{number}")
    found: list[str] = []
    cursor = ""
    while True:
        page = keyed.get(f"/tenants?limit=2{cursor}").json()
        found += [each["name"] for each in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"

    assert len(found) == len(set(found))
    assert {"default", "page-0", "page-1", "page-2"} <= set(found)
