"""An export to a destination replaces what is there only if it is an older one of the same kind."""

import asyncio
from collections.abc import Iterator
from typing import Any, Final
from uuid import UUID, uuid4

import httpx
import pytest
import uuid_utils.compat as uuid

from app.db import open_pool
from app.exports.destination_store import lock_destinations
from app.settings import Settings
from app.tenants.model import DEFAULT_TENANT
from tests.exports.exported_datasets import create, put_dataset, row_of
from tests.exports.stored_exports import PLAN, StoredExport, StoredFile, insert, store
from tests.support.lock_waits import until_one_waits
from tests.support.system import System

# Those of the stored plan.
CHOICES: Final[dict[str, Any]] = {
    "deduplicate": {"key": "/event_id", "latest_by": "/timestamp"},
    "partition_by": [{"year": "/timestamp"}, {"month": "/timestamp"}, {"type": "/event_type"}],
}


@pytest.fixture(scope="module")
def client(system: System) -> Iterator[httpx.Client]:
    """Return a client of an API with destinations, which the worker has none of."""
    allowed = {"CRIVO_EXPORT_DESTINATIONS": "s3://lake/{tenant}"}
    with system.another_api(**allowed) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def dataset(system: System) -> str:
    return put_dataset(system)


@pytest.fixture(scope="module")
def dataset_id(system: System, dataset: str) -> UUID:
    location = create(system, dataset).headers["Location"]
    found = row_of(system, location, "SELECT dataset_id FROM exports WHERE id = $1")["dataset_id"]
    assert isinstance(found, UUID)
    return found


def cancel(client: httpx.Client, address: str) -> None:
    """End an export that no worker can publish: others of the tenant have room."""
    assert client.post(f"{address}/cancel").status_code in (200, 409)


@pytest.mark.parametrize(
    ("there", "asked", "reason"),
    [
        ({}, {}, None),
        ({"snapshot": 1}, {}, None),
        ({"status": "failed"}, {"partition_by": []}, None),
        ({}, {"on_bad_row": "dead_letter", "max_bad_rows": 7}, None),
        ({"dataset_id": None}, {}, "of a dataset {} that was deleted"),
        ({"dataset_id": None, "dataset": "orders"}, {}, "orders@2 ({}), not of "),
        ({"snapshot": 3}, {}, "which is newer than {}@2"),
        ({}, {"partition_by": []}, "`partition_by` (year=/timestamp,month=/timestamp,"),
        ({}, {"columns": {"id": "/event_id"}}, "`columns` (all members there)"),
        # It will be there.
        ({"status": "running", "dataset_id": None}, {}, "will have an export of"),
    ],
)
def test_another_export_is_replaced_only_on_demand(
    system: System,
    client: httpx.Client,
    dataset: str,
    dataset_id: UUID,
    there: dict[str, Any],
    asked: dict[str, Any],
    reason: str | None,
) -> None:
    to = f"s3://lake/default/{uuid4()}"
    same = {
        "dataset_id": dataset_id,
        "dataset": dataset,
        "snapshot": 2,
        "plan": PLAN,
        "files": [StoredFile(name="a.parquet", content=None)],
    }
    earlier = StoredExport(id=uuid.uuid7(), destination=to, **{**same, **there})
    store(system, earlier)
    body = {"dataset": dataset, "to": to, **CHOICES, **asked}

    answer = client.post("/exports", json=body)

    if reason is None:
        assert answer.status_code == 202, answer.text
        cancel(client, answer.headers["Location"])
        return
    assert answer.status_code == 409, answer.text
    problem = answer.json()
    assert problem["type"] == "urn:crivo:problem:replaces-other-export"
    [error] = problem["errors"]
    assert error["pointer"] == "/to"
    assert reason.format(earlier.id if "(" in reason else dataset) in error["message"]
    assert error["message"].endswith('; `"replace": true` replaces it')
    replacing = client.post("/exports", json={**body, "replace": True})
    assert replacing.status_code == 202, replacing.text
    assert client.get(replacing.headers["Location"]).json()["request"]["replace"] is True
    for address in (replacing.headers["Location"], f"/exports/{earlier.id}"):
        cancel(client, address)


def test_what_is_there_counts_beside_one_that_has_not_ended(
    system: System, client: httpx.Client, dataset: str, dataset_id: UUID
) -> None:
    to = f"s3://lake/default/{uuid4()}"
    there = StoredExport(
        id=uuid.uuid7(), destination=to, files=[StoredFile(name="a.parquet", content=None)]
    )
    replacing = StoredExport(
        id=uuid.uuid7(), destination=to, dataset_id=dataset_id, snapshot=2, status="running"
    )
    store(system, there, replacing)

    # The one before may be cancelled, and replaces nothing then.
    answer = client.post("/exports", json={"dataset": dataset, "to": to, **CHOICES})

    assert answer.status_code == 409, answer.text
    assert f"has an export of events@4 ({there.id}), not of" in answer.json()["detail"]
    cancel(client, f"/exports/{replacing.id}")


@pytest.mark.parametrize(
    ("there", "asked", "where"), [("", "/p=a", "below"), ("/p=a", "", "above")]
)
def test_a_folder_within_another_one_is_no_destination_by_mistake(
    system: System, client: httpx.Client, dataset: str, there: str, asked: str, where: str
) -> None:
    outer = f"s3://lake/default/{uuid4()}"
    earlier = StoredExport(
        id=uuid.uuid7(),
        destination=outer + there,
        files=[StoredFile(name="a.parquet", content=None)],
    )
    store(system, earlier)
    body = {"dataset": dataset, "to": outer + asked, **CHOICES}

    answer = client.post("/exports", json=body)

    assert answer.status_code == 409, answer.text
    assert f"is {where} {outer + there}, the destination" in answer.json()["detail"]
    beside = client.post("/exports", json={**body, "to": f"{outer}beside"})
    nevertheless = client.post("/exports", json={**body, "replace": True})
    for accepted in (beside, nevertheless):
        assert accepted.status_code == 202, accepted.text
        cancel(client, accepted.headers["Location"])


def test_another_version_of_the_script_makes_another_export(
    system: System, client: httpx.Client, dataset: str
) -> None:
    # None ends before the other is asked for.
    name, body = f"slow-{uuid4()}", "function map(record) { for (;;); }"
    system.upload(name, body)
    assert client.post(f"/scripts/{name}/versions", json={"source": f"{body} //"}).is_success
    asked = {"dataset": dataset, "to": f"s3://lake/default/{uuid4()}", "script": f"{name}@prod"}

    def export(version: int) -> httpx.Response:
        moved = client.put(f"/scripts/{name}/aliases/prod", json={"version": version})
        assert moved.is_success, moved.text
        return client.post("/exports", json={**asked, **CHOICES})

    accepted, same, other = export(1), export(1), export(2)

    assert (accepted.status_code, same.status_code) == (202, 202)
    assert other.status_code == 409, other.text
    assert f"`script` ({name}@1 there, @2 here)" in other.json()["detail"]
    for each in (accepted, same):
        cancel(client, each.headers["Location"])


async def test_of_two_exports_that_are_accepted_at_once_the_second_sees_the_first(
    system: System, client: httpx.Client, dataset: str
) -> None:
    to = f"s3://lake/default/{uuid4()}"
    first = StoredExport(id=uuid.uuid7(), destination=to, dataset="orders", status="running")
    body = {"dataset": dataset, "to": to, **CHOICES}

    async with open_pool(Settings(database_url=system.environ["DATABASE_URL"])) as pool:
        async with pool.acquire() as conn, conn.transaction():
            await lock_destinations(conn, DEFAULT_TENANT)
            second = asyncio.create_task(asyncio.to_thread(client.post, "/exports", json=body))
            await until_one_waits(pool, second)
            await insert(system, conn, first)
        answer = await second

    assert answer.status_code == 409, answer.text
    assert f"will have an export of orders@4 ({first.id})" in answer.json()["detail"]
    cancel(client, f"/exports/{first.id}")
