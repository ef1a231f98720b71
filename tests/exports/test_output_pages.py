"""Pages of an export have all that it has published, or the reading fails."""

import itertools
from collections.abc import AsyncIterator
from typing import Final
from uuid import UUID

import msgspec
import pytest

from app.db import Pool
from app.exports import output, service
from app.exports.model import Manifest
from app.exports.output import pages_of
from app.exports.plan.hive import folder
from app.exports.problems import ExportFilesDeleted
from app.exports.retention import delete_files
from app.exports.table_store import select_folders
from app.settings import Settings
from app.tenants.model import DEFAULT_TENANT as TENANT
from tests.exports.running_exports import RunningExports, open_exports

# Of a folder's files none is between those of another, whatever follows in its name.
VALUES: Final = ["1", "1 ", "1!", "1-", "10", "1é", "2", None, "Z", "a", "~"]
FILES: Final = """
INSERT INTO export_files
       (export_id, lease_token, number, tenant_id, stage, partition, name, rows, bytes, sha256,
        published)
SELECT $2, 1, f.number, $1, 'whole', f.partition, f.name, f.number, 1, sha256(''), true
FROM unnest($3::bytea[], $4::text[]) WITH ORDINALITY AS f (partition, name, number)
"""


@pytest.fixture
async def exports(
    pool: Pool, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[RunningExports]:
    monkeypatch.setattr(output, "_PAGE", 2)
    async with open_exports(pool, settings) as running:
        yield running


async def published(exports: RunningExports) -> tuple[UUID, list[str]]:
    """Store three files of each value; return their paths in order."""
    await exports.datasets.put("a.jsonl", b"{}\n")
    export = await exports.create()
    files = [
        (msgspec.json.encode([each]), f"{folder('p', each)}/0123456789ab-{number}.parquet")
        for each, number in itertools.product(VALUES, (1, 2, 10))
    ]
    await exports.pool.execute(
        FILES, TENANT, export, [each for each, _ in files], [name for _, name in files]
    )
    await exports.pool.execute(
        "UPDATE exports SET status = 'succeeded', finished_at = now() WHERE id = $1", export
    )
    return export, sorted(name for _, name in files)


async def test_pages_have_each_file_and_each_folder_once_in_their_order(
    exports: RunningExports,
) -> None:
    export, paths = await published(exports)

    written = await service.write_manifest(exports.resources, TENANT, export)
    chunks = [each async for each in written]
    pages = pages_of(exports.resources, TENANT, export, select_folders)
    folders = [each async for page in pages for each in page]

    manifest = msgspec.json.decode(b"".join(chunks), type=Manifest)
    assert b"".join(chunks) == msgspec.json.encode(manifest)
    assert [each.path for each in manifest.files] == paths
    assert len(chunks) > len(paths) / 2
    assert [each.path for each in folders] == list(
        dict.fromkeys(each.rpartition("/")[0] for each in paths)
    )
    assert {folder("p", *each.values) for each in folders} == {each.path for each in folders}


async def test_files_that_are_deleted_amid_a_manifest_do_not_end_it_early(
    exports: RunningExports,
) -> None:
    export, _ = await published(exports)
    chunks = await service.write_manifest(exports.resources, TENANT, export)
    assert [len(await anext(chunks)) > 1 for _ in range(3)] == [True] * 3
    await exports.pool.execute(
        "UPDATE exports SET finished_at = finished_at - interval '90 days' WHERE id = $1", export
    )
    async with exports.pool.acquire() as conn:
        await delete_files(conn, 30, 10)
    with pytest.raises(ExportFilesDeleted):
        await anext(chunks)
