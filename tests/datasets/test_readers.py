"""Readers see all of a snapshot or that it is gone, whatever is published or deleted meanwhile."""

from collections.abc import Awaitable, Callable

import pytest

from app.datasets import file_service, file_store, record_service, service
from app.datasets.parts import encode_key
from app.datasets.problems import SnapshotNotFound
from app.datasets.refs import DatasetRef
from app.db import Pool
from app.settings import Settings
from tests.datasets.stores import NAME, Datasets, lines

LATEST = DatasetRef(name=NAME)
FIRST = DatasetRef(name=NAME, snapshot=1)


@pytest.fixture
async def datasets(pool: Pool, settings: Settings) -> Datasets:
    """Return a dataset whose first snapshot has two files, and whose second replaced one."""
    datasets = Datasets(pool, settings)
    await datasets.create()
    upload = await datasets.begin()
    for path in "ab":
        await datasets.send(upload, path, 1, lines(path))
    await datasets.commit(upload, a=[lines("a")], b=[lines("b")])
    await datasets.put("a", lines("a", value=2))
    return datasets


def _once_before(
    monkeypatch: pytest.MonkeyPatch, owner: object, name: str, act: Callable[[], Awaitable[object]]
) -> None:
    """Let something happen right before the next call of a function."""
    original = getattr(owner, name)

    async def delayed(*args: object, **options: object) -> object:
        monkeypatch.undo()
        await act()
        return await original(*args, **options)

    monkeypatch.setattr(owner, name, delayed)


async def _delete(datasets: Datasets, snapshot: int) -> None:
    ref = DatasetRef(name=NAME, snapshot=snapshot)
    await service.delete_snapshot(datasets.resources, datasets.caller, ref)


async def _key_of(datasets: Datasets, ref: DatasetRef) -> bytes:
    found, _ = await record_service.find_record(
        datasets.resources, datasets.catalogs, datasets.caller.tenant, ref, encode_key("a")
    )
    return found.line


async def test_a_snapshot_that_is_deleted_while_it_is_opened_is_gone(
    datasets: Datasets, monkeypatch: pytest.MonkeyPatch
) -> None:
    _once_before(monkeypatch, datasets.catalogs, "catalog", lambda: _delete(datasets, 1))

    with pytest.raises(SnapshotNotFound):
        await _key_of(datasets, FIRST)


async def test_the_newest_snapshot_is_the_newest_one_left(
    datasets: Datasets, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def replace() -> None:
        await datasets.put("a", lines("a", value=3))
        await _delete(datasets, 2)

    _once_before(monkeypatch, datasets.catalogs, "catalog", replace)

    assert await _key_of(datasets, LATEST) == lines("a", value=3).strip()


async def test_files_are_those_of_the_snapshot_that_was_found(
    datasets: Datasets, monkeypatch: pytest.MonkeyPatch
) -> None:
    _once_before(monkeypatch, file_store, "select_file_page", lambda: _delete(datasets, 1))
    page = await file_service.list_files(
        datasets.resources, datasets.caller.tenant, FIRST, cursor=None, limit=10
    )

    assert [file.path for file in page.items] == ["a", "b"]
    with pytest.raises(SnapshotNotFound):
        await file_service.find_file(datasets.resources, datasets.caller.tenant, FIRST, "a")


async def test_a_file_is_that_of_the_snapshot_that_was_found(
    datasets: Datasets, monkeypatch: pytest.MonkeyPatch
) -> None:
    _once_before(monkeypatch, file_store, "select_file", lambda: _delete(datasets, 1))

    file = await file_service.find_file(datasets.resources, datasets.caller.tenant, FIRST, "a")

    assert file.added_in == 1


async def test_a_history_goes_on_with_the_next_older_value_that_is_left(
    datasets: Datasets,
) -> None:
    for value in (3, 4, 5):
        await datasets.put("a", lines("a", value=value))
    resources, catalogs, tenant = datasets.resources, datasets.catalogs, datasets.caller.tenant
    snapshot = await record_service.open_snapshot(resources, catalogs, tenant, LATEST)
    values = record_service.find_history(
        resources, catalogs, tenant, snapshot, encode_key("a"), limit=9
    )

    found = [await anext(values), await anext(values)]
    # One that has been sent, and the one that would be next.
    await _delete(datasets, 4)
    await _delete(datasets, 3)
    found += [each async for each in values]

    assert [each.snapshot for each in found] == [5, 4, 2, 1]
