"""A script takes the records of an export through a run first, whose output is exported."""

from typing import Any, Final, cast
from uuid import UUID, uuid4

import pytest

from app.auth.model import Scope
from app.db import Connection, Pool
from app.exports import scripted
from app.exports.script_store import ScriptedExport, lock_scripted
from app.exports.task_inputs import WholeInput
from app.settings import Settings
from tests.exports.exported_datasets import LINE, create, put_dataset, task_inputs
from tests.exports.running_exports import open_exports
from tests.support.requests_with_bodies import FOLD
from tests.support.system import System, until
from tests.support.system_with_keys import SystemWithKeys

NORMALISE = "function map(record) { return { id: record.event_id, day: record.timestamp } }"


@pytest.fixture(scope="module")
def normalise(system: System) -> str:
    name = f"normalise-{uuid4()}"
    system.upload(name, NORMALISE)
    return name


def test_what_the_script_returns_is_read_and_deleted_at_the_end(
    system: System, normalise: str
) -> None:
    name = put_dataset(system)

    accepted = create(system, name, script=f"{normalise}@1")

    assert accepted.status_code == 202, accepted.text
    location = accepted.headers["Location"]
    shown = system.client.get(location).json()
    for _ in until("the run has ended"):
        shown = system.client.get(location).json()
        if shown["progress"]["stage"] != "script":
            break
    run = system.client.get(f"/runs/{shown['run']}").json()
    assert (run["status"], run["input"]) == ("succeeded", {"dataset": name, "snapshot": 2})
    made = run["published"]["dataset"]
    [whole] = task_inputs(system, location, WholeInput)
    assert sum(each.last_part for each in whole.ranges) >= 1
    # It may have ended by itself.
    assert system.client.post(f"{location}/cancel").status_code in (200, 409)
    for _ in until("the output is deleted"):
        if system.client.get(f"/datasets/{made}").status_code == 404:
            break
    assert system.client.get(f"/datasets/{name}").is_success


def test_a_run_that_fails_fails_the_export(system: System) -> None:
    throws = f"throws-{uuid4()}"
    system.upload(throws, "function map(record) { throw new Error('no') }")

    location = create(system, put_dataset(system), script=throws).headers["Location"]

    shown = system.client.get(location, params={"wait": 60}).json()
    assert (shown["status"], shown["error"]["kind"]) == ("failed", "script_failed")
    assert shown["run"] in shown["error"]["message"]
    assert "has failed: no;" in shown["error"]["message"]
    # Each file is a part, and one of them fails first.
    assert shown["error"]["path"] in ("a.jsonl", "b/c.jsonl")
    assert shown["error"]["line"] == 1


def test_records_that_the_script_cannot_take_are_rows_that_failed(system: System) -> None:
    some = f"some-{uuid4()}"
    system.upload(
        some, "function map(record) { if (record.bad) throw new Error('no'); return record }"
    )
    name = put_dataset(system)
    system.client.put(f"/datasets/{name}/files/bad.jsonl", content=b'{"bad":true}\n' + LINE)

    location = create(system, name, script=some, on_bad_row="dead_letter").headers["Location"]

    shown = system.client.get(location).json()
    for _ in until("the run has ended"):
        shown = system.client.get(location).json()
        if shown["progress"]["stage"] != "script":
            break
    assert shown["rows_failed"] == 1
    [listed] = system.client.get(shown["run_errors_url"]).json()["items"]
    assert (listed["path"], listed["line"]) == ("bad.jsonl", 1)


SIFT = """
function map(record) {
    if (record.drop) return null
    if (record.fail) throw new Error('no')
    return record
}
"""
SIFTED: Final = b"".join(
    [
        b'{"drop":true}\n' * 3,
        b'{"id":"a","n":1}\n',
        b'{"fail":true}\n',
        b'{"id":null,"n":2}\n',
        b'{"id":"b","n":"x"}\n',
    ]
)


@pytest.fixture(scope="module")
def sift(system: System) -> str:
    name = f"sift-{uuid4()}"
    system.upload(name, SIFT)
    return name


def sifted(system: System, script: str, *, lines: bytes = SIFTED, **more: object) -> dict[str, Any]:
    name = f"sifted-{uuid4()}"
    assert system.client.put(f"/datasets/{name}", json={}).is_success
    assert system.client.put(f"/datasets/{name}/files/s.jsonl", content=lines).is_success
    accepted = create(system, name, script=script, deduplicate={"key": "/id"}, **more)
    assert accepted.status_code == 202, accepted.text
    shown = system.client.get(accepted.headers["Location"], params={"wait": 60}).json()
    return cast("dict[str, Any]", shown)


def test_rows_after_a_script_are_named_as_records_that_it_returned(
    system: System, sift: str
) -> None:
    shown = sifted(system, f"{sift}@latest", on_bad_row="dead_letter")

    assert shown["status"] == "succeeded", shown
    [bad] = system.client.get(shown["errors_url"]).json()["items"]
    # Line 6 of the dataset.
    assert (bad["path"], bad["record"], "line" in bad) == ("s.jsonl", 2, False)
    [column] = [each for each in shown["columns"] if each["name"] == "n"]
    assert column["mixed_at"] == {"path": "s.jsonl", "record": 3}
    [failed] = system.client.get(shown["run_errors_url"]).json()["items"]
    assert (failed["path"], failed["line"]) == ("s.jsonl", 5)


def test_an_export_shows_the_version_of_its_script_and_what_became_of_its_rows(
    system: System, sift: str
) -> None:
    shown = sifted(system, f"{sift}@latest", on_bad_row="dead_letter")

    script = system.client.get(f"/runs/{shown['run']}").json()["script"]
    assert shown["script"] == script
    assert (script["name"], script["version"]) == (sift, 1)
    assert shown["request"]["script"] == f"{sift}@latest"
    counts = ("rows_in", "rows_dropped", "script_rows_failed", "rows_failed", "rows_out")
    assert [shown[each] for each in counts] == [7, 3, 1, 2, 2]


def test_a_bad_row_after_a_script_fails_the_export_by_its_record(system: System, sift: str) -> None:
    lines = SIFTED.replace(b'{"fail":true}\n', b"")

    shown = sifted(system, sift, lines=lines)

    error = shown["error"]
    assert (error["kind"], error["path"], error["record"]) == ("bad_row", "s.jsonl", 2)
    assert "line" not in error
    assert error["message"].startswith("s.jsonl, record 2 of what the script returned, /id: ")


def test_cancelling_also_cancels_the_run(system: System) -> None:
    slow = f"slow-{uuid4()}"
    system.upload(slow, "function map(record) { for (;;); }")
    location = create(system, put_dataset(system), script=slow).headers["Location"]

    cancelled = system.client.post(f"{location}/cancel").json()

    assert cancelled["status"] == "cancelled"
    assert system.client.get(f"/runs/{cancelled['run']}").json()["status"] == "cancelled"


def test_a_script_has_to_be_there_and_to_map(system: System) -> None:
    fold = f"fold-{uuid4()}"
    system.upload(fold, FOLD)
    name = put_dataset(system)

    for script, status in (("nowhere", 404), (fold, 422)):
        refused = create(system, name, script=script)
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (status, "/script")


def test_a_script_also_takes_the_scope_of_datasets(keyed: SystemWithKeys) -> None:
    own = keyed.key("default", [Scope.READ, Scope.WRITE_EXECUTIONS]).key

    refused = keyed.post("/exports", own, json={"dataset": "nowhere", "script": "nowhere"})

    assert refused.status_code == 403


async def test_an_export_that_cannot_go_on_stops_no_other(
    pool: Pool, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_exports(pool, settings) as exports:
        stuck, other = [await exports.create() for _ in range(2)]
        await pool.execute("UPDATE exports SET stage = 'script', run_id = gen_random_uuid()")

        async def lock_or_fail(
            conn: Connection, tenant: UUID, export: UUID
        ) -> ScriptedExport | None:
            if export == stuck:
                raise ValueError("its run cannot be read")
            return await lock_scripted(conn, tenant, export)

        monkeypatch.setattr(scripted, "lock_scripted", lock_or_fail)
        # In any order.
        for _ in range(4):
            await scripted.go_on(exports.resources)
        assert (await exports.row(other))["status"] == "failed"
        assert (await exports.row(stuck))["status"] == "queued"
