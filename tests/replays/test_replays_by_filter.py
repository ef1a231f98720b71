"""A filter chooses recorded executions, which are replayed as one batch."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest

from app.auth.model import Scope
from tests.comparisons.conftest import Recorded
from tests.support.system import System
from tests.support.system_with_keys import SystemWithKeys

SOURCE = """
function process(data) {
  if (data.fails) throw new Error('failed');
  return [data, Math.random(), Date.now()];
}
"""
FIXED = SOURCE.replace("throw new Error('failed')", "return 'fixed'")


@pytest.fixture
def record(system: System) -> Callable[[str], Recorded]:
    return lambda source: Recorded(system, source)


def _replay(system: System, wanted: dict[str, Any], **headers: str) -> httpx.Response:
    return system.client.post("/replays", json=wanted, headers=headers)


def _ended(system: System, answer: httpx.Response) -> list[dict[str, Any]]:
    """Wait for the batch; return its items, by line."""
    assert answer.status_code == 202, answer.text
    batch = system.client.get(f"{answer.headers['Location']}?wait=60").json()
    assert batch["status"] == "finished", batch
    page = system.client.get(f"/executions?batch={batch['id']}").json()
    items: list[dict[str, Any]] = page["items"]
    assert len(items) == batch["items"] == answer.json()["items"]
    return items[::-1]


def test_what_matches_is_counted_shown_and_replayed(
    system: System, record: Callable[[str], Recorded]
) -> None:
    script = record(SOURCE)
    runs = script.run([b'{"n":%d}' % n for n in range(12)] + [b'{"fails":1}', b"nothing"])
    erased = runs[3]
    system.client.delete(f"/executions/{erased['id']}/data")
    fixed = script.version(FIXED)
    [later] = script.run([b'{"n":1}'])
    name = script.name

    def count(**conditions: Any) -> tuple[int, int, list[str]]:  # noqa: ANN401 - any JSON
        wanted = {"filter": {"script": name, **conditions}, "dry_run": True}
        answer = _replay(system, wanted)
        assert answer.status_code == 200, answer.text
        plan = answer.json()
        return plan["matching"], plan["erased"], [each["id"] for each in plan["samples"]]

    ids = [each["id"] for each in runs]
    assert count() == (15, 1, [later["id"], *ids[:3:-1]][:10])
    assert count(status="succeeded") == (13, 1, [later["id"], *ids[11:3:-1], ids[2]])
    assert count(status="failed") == (2, 0, [ids[13], ids[12]])
    assert count(**{"error.kind": "script_error"}) == (1, 0, [ids[12]])
    assert count(script=f"{name}@{fixed}") == (1, 0, [later["id"]])
    assert count(to=runs[1]["created_at"]) == (1, 0, [ids[0]])
    assert count(**{"from": later["created_at"]}) == (1, 0, [later["id"]])
    assert count(label={"run": "nightly"}) == (0, 0, [])
    assert system.client.get(f"/executions?script={name}").json()["items"][0]["id"] == later["id"]

    # With the version that each of them ran.
    same = _replay(system, {"filter": {"script": name}})
    items = _ended(system, same)
    assert (same.json()["erased"], len(items)) == (1, 14)
    kept = [each["id"] for each in (*runs, later) if each is not erased]
    assert [each["replay_of"] for each in items] == kept
    assert {each["replay"]["identical"] for each in items} == {True}
    assert {each["priority"] for each in items} == {-10}
    assert [each["script"]["version"] for each in items] == [1] * 13 + [fixed]
    # With another version; replays do not match.
    wanted = {
        "filter": {"error.kind": "script_error"}, "script": f"{name}@{fixed}", "priority": 2,
    }  # fmt: skip
    headers = {"Idempotency-Key": str(uuid4())}
    changed, again = (_replay(system, wanted, **headers) for _ in range(2))
    [item] = _ended(system, changed)
    assert (item["status"], item["replay"]["identical"], item["priority"]) == (
        "succeeded", False, 2,
    )  # fmt: skip
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.json()["id"] == changed.json()["id"]
    log = system.client.get("/audit", params={"target": same.json()["url"]}).json()["items"]
    assert [(each["action"], each["details"]) for each in log] == [
        ("replays.created", {"items": 14, "erased": 1})
    ]


def test_two_hundred_replays_are_identical(
    system: System, record: Callable[[str], Recorded]
) -> None:
    name, many = record(SOURCE).name, 200
    lines = b"".join(
        b"nothing\n" if n % 50 == 0 else b'{"n":%d%s}\n' % (n, b',"fails":1' * (n % 10 == 0))
        for n in range(many)
    )
    headers = {"Content-Type": "application/x-ndjson"}
    recording = system.client.post(f"/batches?script={name}", content=lines, headers=headers)

    def ended(answer: httpx.Response) -> dict[str, Any]:
        assert answer.status_code == 202, answer.text
        batch = system.client.get(f"{answer.headers['Location']}?wait=60").json()
        assert (batch["status"], batch["items"]) == ("finished", many)
        items: dict[str, Any] = {}
        query = {"batch": batch["id"], "limit": 100}
        while len(items) < many:
            page = system.client.get("/executions", params=query).json()
            items |= {each["id"]: each for each in page["items"]}
            query["cursor"] = page["next_cursor"]
        return items

    def outcome(execution: dict[str, Any]) -> tuple[str, str | None]:
        output = execution["receipt"]["output"]
        return execution["status"], None if output is None else output["sha256"]

    originals = ended(recording)
    replays = ended(_replay(system, {"filter": {"script": name}}))

    assert {each["replay_of"] for each in replays.values()} == originals.keys()
    assert all(each["replay"]["identical"] for each in replays.values())
    for each in replays.values():
        assert outcome(each) == outcome(originals[each["replay_of"]])
    # As many results as inputs that do not fail.
    assert len({outcome(each) for each in originals.values()}) == many * 9 // 10 + 1


def test_what_cannot_be_replayed_is_refused(
    system: System, record: Callable[[str], Recorded]
) -> None:
    script = record(SOURCE)
    [only] = script.run([b"1"])
    system.client.delete(f"/executions/{only['id']}/data")

    def refusal(wanted: dict[str, Any]) -> tuple[int, str, str]:
        answer = _replay(system, wanted)
        problem = answer.json()
        return answer.status_code, problem["type"][18:], problem["detail"]

    conditions: tuple[dict[str, Any], ...] = ({}, {"label": {}})
    for empty in conditions:
        for dry_run in (True, False):
            status, code, detail = refusal({"filter": empty, "dry_run": dry_run})
            assert (status, code) == (422, "invalid-request")
            assert detail.startswith("/filter: is empty")
    assert refusal({"filter": {"script": script.name}}) == (
        409, "nothing-to-replay", "/filter: the 1 executions that match have no input any more",
    )  # fmt: skip
    assert refusal({"filter": {"script": script.name, "status": "cancelled"}})[:2] == (
        409, "nothing-to-replay",
    )  # fmt: skip
    assert refusal({"filter": {"script": "nothing-of-this-name"}})[:2] == (404, "script-not-found")
    assert refusal({"filter": {"scirpt": "cards"}})[:2] == (422, "invalid-request")
    assert refusal({"filter": {"status": "running"}})[:2] == (422, "invalid-request")
    assert refusal({"filter": {"from": "2026-01-31"}})[:2] == (422, "invalid-request")


def test_replays_are_of_the_own_tenant_and_its_quota(keyed: SystemWithKeys) -> None:
    keyed.tenant("replaying")
    made = keyed.post("/tenants", json={"name": "replaying-little", "caps": {"max_queued": 3}})
    assert made.status_code == 201
    owner, little = keyed.key("replaying").key, keyed.key("replaying-little").key
    for key in (owner, little):
        keyed.post("/scripts", key, json={"name": "plain", "source": SOURCE})
        for _ in range(4 if key == little else 1):
            done = keyed.post(
                "/scripts/plain/executions", key, content=b"1", headers={"Prefer": "wait=60"}
            )
            assert done.status_code == 200, done.text
    wanted = {"filter": {"status": "succeeded"}}

    plan = keyed.post("/replays", owner, json={**wanted, "dry_run": True}).json()
    refused = keyed.post("/replays", little, json=wanted)
    compared = keyed.post("/scripts/plain/comparisons", little, json={"from": 1, "to": 1})
    accepted = keyed.post(
        "/scripts/plain/comparisons", little, json={"from": 1, "to": 1, "sample": {"last": 1}}
    )

    # Neither that of another tenant, nor a part of what the quota has no room for.
    assert plan["matching"] == 1
    for over in (refused, compared):
        assert (over.status_code, over.json()["type"]) == (429, "urn:crivo:problem:quota-exceeded")
        assert over.json()["quota"] == "queued"
    assert accepted.status_code == 202
    listed = keyed.get("/executions", little).json()["items"]
    assert sum("replay_of" in each for each in listed) == 2
    # Whoever may not read is shown nothing, and may start replays.
    writer = keyed.key("replaying", scopes=(Scope.WRITE_EXECUTIONS,)).key
    assert keyed.post("/replays", writer, json={**wanted, "dry_run": True}).status_code == 403
    assert keyed.post("/replays", writer, json=wanted).status_code == 202
