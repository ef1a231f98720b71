"""Open uploads are listed, bounded, and committed once, with files that can stand side by side."""

import hashlib
import json
from datetime import datetime, timedelta
from typing import Any, Final

import httpx
import pytest

from app.datasets import upload_contents, upload_service
from app.datasets.problems import UploadFull
from app.db import Pool
from app.limits import (
    MAX_COMMIT_BYTES,
    MAX_PATH_BYTES,
    MAX_UPLOAD_FILES,
    MAX_UPLOAD_PATH_BYTES,
    MIN_COUNTED_PART_BYTES,
)
from app.pagination import Paginator
from app.quotas.errors import QuotaExceeded
from app.quotas.model import Caps
from app.settings import Settings
from tests.datasets.stores import Datasets, lines
from tests.support.half_sent_requests import HalfSentRequest, begun
from tests.support.raw_connections import Answer
from tests.support.system import System, until

LINES: Final = b'{"pk":"a","score":1}\n'


def _begin(system: System, dataset: str) -> str:
    return str(system.client.post(f"{dataset}/uploads", json={}).headers["Location"])


def _send(system: System, upload: str, *paths: str) -> None:
    for path in paths:
        sent = system.client.put(f"{upload}/files/{path}/parts/1", content=LINES)
        assert sent.status_code == 201, sent.text


def _commit(system: System, upload: str, *paths: str) -> httpx.Response:
    digest = hashlib.sha256(hashlib.sha256(LINES).digest()).hexdigest()
    files = [{"path": path, "parts": 1, "digest": digest} for path in paths]
    return system.client.post(f"{upload}/commit", json={"files": files})


def _code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].removeprefix("urn:crivo:problem:")


def test_open_uploads_are_listed_newest_first(system: System, dataset: str) -> None:
    uploads = [_begin(system, dataset) for _ in range(4)]
    _send(system, uploads[1], "a")
    _commit(system, uploads[1], "a")
    system.client.delete(uploads[2])

    first = system.client.get(f"{dataset}/uploads", params={"limit": 1}).json()
    rest = system.client.get(f"{dataset}/uploads", params={"cursor": first["next_cursor"]}).json()

    listed = [f"/uploads/{each['id']}" for each in (*first["items"], *rest["items"])]
    assert listed == [uploads[3], uploads[0]]
    assert rest["next_cursor"] is None
    assert _code(system.client.get(f"{dataset}-not/uploads")) == (404, "dataset-not-found")


def _arriving(system: System, dataset: str) -> dict[str, Any]:
    items: list[dict[str, Any]] = []
    for _ in until("the file arrives"):
        items = system.client.get(f"{dataset}/uploads").json()["items"]
        if items:
            break
    return items[0]


def _end(held: HalfSentRequest) -> tuple[Answer, str]:
    answer = held.end()
    return answer, answer.body.decode()


def test_the_upload_behind_a_file_is_listed_and_can_be_deleted(
    system: System, dataset: str
) -> None:
    with begun(system.port, "PUT", f"{dataset}/files/a", {}, LINES) as held:
        upload = _arriving(system, dataset)
        lasts = datetime.fromisoformat(upload["expires_at"]) - datetime.fromisoformat(
            upload["created_at"]
        )
        deleted = system.client.delete(f"/uploads/{upload['id']}")
        answer, text = _end(held)

    assert lasts < timedelta(hours=1, minutes=1)
    assert deleted.status_code == 204
    assert (answer.status, upload["id"] in text) == (404, True)
    assert "send the file again" in text
    with begun(system.port, "PUT", f"{dataset}/files/a", {}, LINES) as held:
        _arriving(system, dataset)
        system.client.delete(dataset)
        answer, text = _end(held)
    assert answer.status == 404
    assert "dataset-not-found" in text


def test_a_commit_is_repeated_only_with_the_same_files(system: System, dataset: str) -> None:
    upload = _begin(system, dataset)
    _send(system, upload, "a", "b")

    statuses = [_commit(system, upload, *paths).status_code for paths in ("ab", "ab")]

    assert statuses == [201, 200]
    for paths in ("a", "ba", "abc"):
        assert _code(_commit(system, upload, *paths)) == (409, "upload-committed"), paths
    _send(system, later := _begin(system, dataset), "a")
    assert _commit(system, later, "a").status_code == 201
    # A file that has been replaced since is still what the upload published.
    assert _commit(system, upload, "a", "b").status_code == 200


@pytest.mark.parametrize(
    ("held", "sent", "wrong"),
    [
        ([], ["a", "a/b"], "a"),
        (["a"], ["c", "a/b/c"], "a/b/c"),
        (["a/b", "a-b"], ["a"], "a"),
        (["a-b", "a0", "ab/c"], ["a"], None),
    ],
)
def test_a_file_is_no_folder_of_another(
    system: System, dataset: str, held: list[str], sent: list[str], wrong: str | None
) -> None:
    for path in held:
        assert system.client.put(f"{dataset}/files/{path}", content=LINES).status_code == 201
    upload = _begin(system, dataset)
    _send(system, upload, *sent)

    answer = _commit(system, upload, *sent)

    assert answer.status_code == (201 if wrong is None else 422), answer.text
    if wrong is not None:
        pointers = [error["pointer"] for error in answer.json()["errors"]]
        assert f"/files/{sent.index(wrong)}/path" in pointers
    if wrong and held:
        put = system.client.put(f"{dataset}/files/{wrong}", content=LINES)
        assert [error["pointer"] for error in put.json()["errors"]] == ["/path"]
        assert system.client.get(dataset).json()["latest_snapshot"]["number"] == len(held)
        # In place of all files it can be there.
        replacing = system.client.post(f"{dataset}/uploads", json={"mode": "replace"})
        _send(system, replacing.headers["Location"], wrong)
        assert _commit(system, replacing.headers["Location"], wrong).status_code == 201


def test_a_cursor_that_no_page_had_is_refused(system: System, dataset: str) -> None:
    system.client.put(f"{dataset}/files/a", content=LINES)
    paginator = Paginator("files", system.client.get(dataset).json()["id"], 1)

    for position in (b"\0", b"\xff", b"../a"):
        answer = system.client.get(
            f"{dataset}/files", params={"cursor": paginator.cursor(position)}
        )
        assert _code(answer) == (422, "invalid-request"), position


async def test_an_upload_takes_no_more_files_than_a_commit_can_name(
    pool: Pool, settings: Settings
) -> None:
    datasets = Datasets(pool, settings)
    await datasets.create()
    upload = await datasets.begin()
    await datasets.send(upload, "a", 1, lines("a"))
    await pool.execute("UPDATE dataset_uploads SET files = $1", MAX_UPLOAD_FILES)

    with pytest.raises(UploadFull):
        await datasets.send(upload, "b", 1, lines("b"))
    assert await datasets.send(upload, "a", 2, lines("c"))
    await upload_service.remove_file(datasets.resources, datasets.caller, upload, "a")
    assert await datasets.send(upload, "b", 1, lines("b"))
    await pool.execute(
        "UPDATE dataset_uploads SET files = 1, path_bytes = $1", MAX_UPLOAD_PATH_BYTES
    )
    with pytest.raises(UploadFull):
        await datasets.send(upload, "c", 1, lines("c"))

    assert datasets.blob_keys() == await datasets.referenced_keys()
    # The most that a client writes for them, with every character escaped.
    entry = '{"path": "", "parts": 131072, "digest": "%s"}, ' % ("0" * 64)
    assert MAX_UPLOAD_FILES * len(entry) + 3 * MAX_UPLOAD_PATH_BYTES < MAX_COMMIT_BYTES
    assert MAX_PATH_BYTES < MAX_UPLOAD_PATH_BYTES


@pytest.mark.parametrize("files", [[], [1], [2, 5, 1, 1, 9]])
async def test_what_an_upload_holds_is_listed_in_pages(
    pool: Pool, settings: Settings, monkeypatch: pytest.MonkeyPatch, files: list[int]
) -> None:
    datasets = Datasets(pool, settings)
    await datasets.create()
    upload, other = await datasets.begin(), await datasets.begin()
    await datasets.send(other, "a", 1, lines("other"))
    # By bytes: a quote is before a letter.
    expected = {f'{letter}"ü/x': count for letter, count in zip("AZabc", files, strict=False)}
    for path, count in expected.items():
        for number in range(count, 0, -1):
            await datasets.send(upload, path, number, lines(number))
    monkeypatch.setattr(upload_contents, "_LISTED_PARTS", 3)

    written = await upload_contents.open_contents(
        datasets.resources, datasets.caller.tenant, upload
    )
    held = json.loads(b"".join([chunk async for chunk in written]))

    assert held["id"] == str(upload)
    assert [(file["path"], [part["part"] for part in file["parts"]]) for file in held["files"]] == [
        (path, list(range(1, count + 1))) for path, count in expected.items()
    ]


async def test_a_part_counts_at_least_as_much_as_its_rows(pool: Pool, settings: Settings) -> None:
    datasets = Datasets(pool, settings, Caps(max_stored_bytes=2 * MIN_COUNTED_PART_BYTES + 99))
    await datasets.create()
    upload = await datasets.begin()

    for number in (1, 2):
        await datasets.send(upload, "a", number, lines(number))
    with pytest.raises(QuotaExceeded) as refused:
        await datasets.send(upload, "a", 3, lines(3))

    assert refused.value.used == 2 * MIN_COUNTED_PART_BYTES
    assert await datasets.usage() == (2 * MIN_COUNTED_PART_BYTES, 2 * MIN_COUNTED_PART_BYTES)
    await upload_service.abandon(datasets.resources, datasets.caller, upload)
    assert await datasets.usage() == (0, 0)
