"""Publishing copies all of an export to its destination, which may refuse it or be away."""

import hashlib
import json
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from unittest.mock import ANY
from uuid import UUID

import msgspec
import pytest
import uuid_utils.compat as uuid
from msgspec.structs import replace

from app.db import Pool
from app.exports import completion, ending, service
from app.exports.claim_store import claim_task
from app.exports.model import ExportStatus, Manifest
from app.exports.retention import delete_files
from app.exports.store import select_export
from app.exports.task_store import LeaseLost
from app.limits import MAX_DESTINATION_WAIT_HOURS
from app.settings import Settings
from app.tenants.model import DEFAULT_TENANT as TENANT
from tests.exports.published_folders import content, folder_of, objects
from tests.exports.running_exports import RunningExports, StandInTask, open_exports
from tests.support.faulty_server import Scripted, faulty_server
from tests.support.servers_s3 import S3, run_s3

BUCKET: Final = "s3://crivo/default"


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with run_s3() as stand_in, pytest.MonkeyPatch.context() as patch:
        for name, value in stand_in.environ.items():
            if name in {"AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}:
                patch.setenv(name, value)
        yield stand_in


@pytest.fixture
async def exports(
    pool: Pool, settings: Settings, tmp_path: Path, s3: S3
) -> AsyncIterator[RunningExports]:
    (tmp_path / "lake").mkdir()
    allowed = replace(
        settings,
        export_destinations=f"file://{tmp_path}/lake/{{tenant}}, s3://crivo/{{tenant}}, "
        "s3://missing/{tenant}",
        export_s3_endpoint=s3.url,
    )
    async with open_exports(pool, allowed) as running:
        yield running


@pytest.fixture
def local(tmp_path: Path) -> str:
    return f"file://{tmp_path}/lake/default/events"


@pytest.mark.parametrize("url", ["", f"{BUCKET}/events"], ids=["folder", "bucket"])
async def test_a_destination_has_the_files_their_manifest_and_what_names_it(
    exports: RunningExports, s3: S3, local: str, url: str
) -> None:
    url = url or local
    first = await exports.create(destination=url)
    await exports.run_all(StandInTask())
    assert (await exports.row(first))["status"] == "succeeded"
    paths = {each["name"] for each in await exports.published(first)}
    assert len(paths) == 2
    assert objects(url, s3) == {*paths, f"_crivo/{first}.json", "_SUCCESS"}
    folder = await folder_of(exports, url)
    assert await folder.sizes("_crivo", most=0) is None
    success = json.loads(await content(folder, "_SUCCESS"))
    assert success == {"export": str(first), "manifest": f"_crivo/{first}.json"}
    manifest = await content(folder, success["manifest"])
    chunks = await service.write_manifest(exports.resources, TENANT, first)
    assert manifest == b"".join([chunk async for chunk in chunks])
    found = msgspec.json.decode(manifest, type=Manifest)
    assert msgspec.json.encode(found) == manifest
    assert {each.path for each in found.files} == paths
    for each in found.files:
        assert hashlib.sha256(await content(folder, each.path)).hexdigest() == each.sha256
    # Nothing of them is here any more.
    assert exports.blob_keys() == set()
    assert await exports.stored_bytes() == 0

    second = await exports.create(destination=url)
    await exports.run_all(StandInTask())
    paths = {each["name"] for each in await exports.published(second)}
    assert objects(url, s3) == {*paths, f"_crivo/{second}.json", "_SUCCESS"}
    assert await exports.published(first) == []
    assert (await exports.row(first))["files_deleted_at"] is not None
    # Nor by age: what is at a destination stays there.
    async with exports.pool.acquire() as conn:
        assert (await delete_files(conn, 0, 10)).items == 0
    assert (await exports.row(second))["files_deleted_at"] is None


async def test_exports_to_one_destination_are_published_in_their_order(
    exports: RunningExports, local: str
) -> None:
    first = await exports.create(destination=local)
    second = await exports.create(destination=local)
    elsewhere = await exports.create(destination=f"{local}-2")
    # The first one is not due.
    await exports.pool.execute(
        "UPDATE export_tasks SET due_at = 'infinity' WHERE export_id = $1", first
    )
    await exports.run_all(StandInTask())
    assert (await exports.row(second))["stage"] == "publish"
    assert (await exports.row(second))["status"] == "running"
    assert (await exports.row(elsewhere))["status"] == "succeeded"
    await exports.pool.execute("UPDATE export_tasks SET due_at = now() WHERE done_token IS NULL")
    await exports.run_all(StandInTask())
    finished = [(await exports.row(each))["finished_at"] for each in (first, second)]
    assert finished == sorted(finished)
    folder = await folder_of(exports, local)
    assert json.loads(await content(folder, "_SUCCESS"))["export"] == str(second)


async def test_an_older_export_that_comes_late_replaces_no_newer_one(
    exports: RunningExports, local: str
) -> None:
    late = await exports.create()
    await exports.pool.execute("UPDATE export_tasks SET due_at = 'infinity'")
    newer = await exports.create(destination=local)
    await exports.run_all(StandInTask())
    await exports.pool.execute("UPDATE exports SET destination = $2 WHERE id = $1", late, local)
    await exports.pool.execute("UPDATE export_tasks SET due_at = now() WHERE done_token IS NULL")
    await exports.run_all(StandInTask())
    row = await exports.row(late)
    assert row["status"] == "failed"
    assert json.loads(row["error"]) == {
        "kind": "destination_refused",
        "message": f"{local} has files of the newer export {newer}",
    }


async def test_an_older_export_that_comes_late_waits_for_the_one_at_work(
    exports: RunningExports, local: str
) -> None:
    late, newer = await exports.create(destination=local), await exports.create(destination=local)
    await exports.pool.execute("UPDATE exports SET destination = NULL WHERE id = $1", late)
    # Its worker publishes it, and lives.
    await exports.pool.execute(
        """
        UPDATE export_tasks
        SET stage = 'publish', worker_id = $1, lease_token = 1, lease_expires_at = 'infinity'
        WHERE export_id = $1
        """,
        newer,
    )
    await exports.pool.execute("UPDATE exports SET destination = $2 WHERE id = $1", late, local)
    await exports.run_all(StandInTask())
    assert (await exports.row(late))["status"] == "running"
    assert not Path(local.removeprefix("file://")).exists()


async def test_a_folder_that_is_not_mounted_is_waited_for(
    exports: RunningExports, local: str, tmp_path: Path
) -> None:
    (tmp_path / "lake").rename(tmp_path / "away")
    export = await exports.create(destination=local)
    await exports.run_all(StandInTask())
    [task] = [each for each in await exports.tasks(export) if each["stage"] == "publish"]
    assert (task["attempts"], task["done_token"], task["lease_token"]) == (0, None, None)
    assert not (tmp_path / "lake").exists()
    told = await trouble(exports, export)
    assert told == (f"{local} cannot be used: there is no folder {tmp_path}/lake", ANY)
    # It can be cancelled: nothing was changed there.
    assert (await exports.row(export))["publishing_at"] is None
    await make_wait(exports, hours=MAX_DESTINATION_WAIT_HOURS - 1)
    await exports.run_all(StandInTask())
    assert await trouble(exports, export) == told
    (tmp_path / "away").rename(tmp_path / "lake")
    await exports.pool.execute("UPDATE export_tasks SET due_at = now() WHERE done_token IS NULL")
    await exports.run_all(StandInTask())
    assert (await exports.row(export))["status"] == "succeeded"
    assert (await exports.row(export))["publishing_at"] is not None
    assert [each["trouble"] for each in await exports.tasks(export)] == [None, None]


async def trouble(exports: RunningExports, export: UUID) -> tuple[str | None, datetime | None]:
    """Return what the readers of an export are told of its trouble."""
    async with exports.pool.acquire() as conn:
        shown = await select_export(conn, TENANT, export)
    assert shown is not None
    assert (shown.trouble is None) == (shown.trouble_since is None)
    return shown.trouble, shown.trouble_since


async def test_a_destination_that_stays_away_is_not_waited_for_longer_than_a_day(
    exports: RunningExports, local: str, tmp_path: Path
) -> None:
    (tmp_path / "lake").rename(tmp_path / "away")
    export, next_one = [await exports.create(destination=local) for _ in range(2)]
    await exports.run_all(StandInTask())
    for _ in range(2):
        await make_wait(exports, hours=MAX_DESTINATION_WAIT_HOURS)
        await exports.run_all(StandInTask())
    for each in (export, next_one):
        row = await exports.row(each)
        assert row["status"] == "failed"
        assert json.loads(row["error"]) == {
            "kind": "destination_refused",
            "message": f"{local} could not be used for {MAX_DESTINATION_WAIT_HOURS} hours",
        }
    assert exports.blob_keys() == set()


async def make_wait(exports: RunningExports, *, hours: int) -> None:
    """Let exports that have not ended have waited for so long, and try their tasks again."""
    await exports.pool.execute(
        "UPDATE exports SET started_at = started_at - make_interval(hours => $1)", hours
    )
    await exports.pool.execute(
        "UPDATE export_tasks SET finished_at = finished_at - make_interval(hours => $1)", hours
    )
    await exports.pool.execute("UPDATE export_tasks SET due_at = now() WHERE due_at < 'infinity'")


async def refusal(exports: RunningExports, url: str) -> dict[str, Any]:
    export = await exports.create(destination=url)
    await exports.run_all(StandInTask())
    row = await exports.row(export)
    assert row["status"] == "failed"
    assert exports.blob_keys() == set()
    error: dict[str, Any] = json.loads(row["error"])
    assert error["kind"] == "destination_refused"
    return error


async def test_what_is_refused_for_good_ends_the_export(
    exports: RunningExports, local: str, tmp_path: Path
) -> None:
    gone = await refusal(exports, "s3://other/default")
    assert gone["message"] == "s3://other/default is no longer a destination of the tenant"
    missing = await refusal(exports, "s3://missing/default")
    assert missing["message"].endswith("it answers with the status 404")
    (tmp_path / "lake" / "default").write_text("no folder")
    folder = await refusal(exports, local)
    assert folder["message"] == f"{local} cannot be written or read: not a directory"


async def test_denied_access_ends_an_export_and_a_failing_store_does_not(
    exports: RunningExports, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    with faulty_server(s3.url) as server:
        settings = replace(exports.resources.settings, export_s3_endpoint=server.url)
        monkeypatch.setattr(exports.resources, "settings", settings)
        server.faults = [Scripted(status=403)]
        denied = await refusal(exports, f"{BUCKET}/denied")
        assert denied["message"].endswith("access is denied")
        server.faults = [Scripted(status=503)] * 6
        export = await exports.create(destination=f"{BUCKET}/failing")
        await exports.run_all(StandInTask())
        assert (await exports.row(export))["status"] == "running"
        assert server.faults == []
        told, _ = await trouble(exports, export)
        assert told == f"{BUCKET}/failing cannot be used: it answers with the status 503"
    # It answers again.
    monkeypatch.undo()
    await exports.pool.execute("UPDATE export_tasks SET due_at = now() WHERE done_token IS NULL")
    await exports.run_all(StandInTask())
    assert (await exports.row(export))["status"] == "succeeded"


async def test_an_export_that_was_cancelled_in_time_changes_no_destination(
    exports: RunningExports, local: str
) -> None:
    export = await exports.create(destination=local)
    async with exports.runner(StandInTask()) as runner:
        assert await runner.run_next()
    async with exports.pool.acquire() as conn:
        task = await claim_task(conn, uuid.uuid7(), lease_seconds=60.0)
        assert task is not None
        await ending.end(conn, TENANT, export, ExportStatus.CANCELLED)
    with pytest.raises(LeaseLost):
        await completion.publish(exports.resources, task)
    assert not Path(local.removeprefix("file://")).exists()


async def test_only_the_worker_that_has_the_lease_ends_an_export(
    exports: RunningExports, local: str
) -> None:
    export = await exports.create(destination=local)
    async with exports.runner(StandInTask()) as runner:
        assert await runner.run_next()
    async with exports.pool.acquire() as conn:
        late = await claim_task(conn, uuid.uuid7(), lease_seconds=60.0)
    assert late is not None
    output = await completion.publish(exports.resources, late)
    await exports.pool.execute(
        "UPDATE export_tasks SET lease_expires_at = now() - interval '1 s' "
        "WHERE lease_token IS NOT NULL"
    )
    async with exports.pool.acquire() as conn:
        taken = await claim_task(conn, uuid.uuid7(), lease_seconds=60.0)
    assert taken is not None
    with pytest.raises(LeaseLost):
        await completion.complete(exports.resources, late, output)
    assert (await exports.row(export))["status"] == "running"
    assert len(exports.blob_keys()) == len(output.files)
    output = await completion.publish(exports.resources, taken)
    await completion.complete(exports.resources, taken, output)
    assert (await exports.row(export))["status"] == "succeeded"
