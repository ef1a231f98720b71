"""A caller that loses access while it waits for a lock changes nothing."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from app.auth.errors import InvalidKey
from app.auth.model import Principal
from app.datasets import service, upload_service
from app.datasets.model import PutDataset
from app.datasets.refs import DatasetRef
from app.db import Pool
from app.preconditions import NO_PRECONDITIONS
from app.settings import Settings
from tests.datasets.stores import NAME, Datasets, lines
from tests.support.lock_waits import until_one_waits

STORED = """
SELECT (SELECT string_agg(name || description, ',') FROM datasets),
       (SELECT count(*) FROM dataset_snapshots),
       (SELECT string_agg(id::text || coalesce(snapshot, 0), ',' ORDER BY id)
        FROM dataset_uploads),
       (SELECT count(*) FROM dataset_parts),
       (SELECT count(*) FROM audit_log)
"""
FIRST = DatasetRef(name=NAME, snapshot=1)


async def _put(datasets: Datasets) -> None:
    wanted = PutDataset(key="/pk", description="other")
    await service.put(
        datasets.resources, datasets.caller, NAME, wanted, preconditions=NO_PRECONDITIONS
    )


async def _operations(datasets: Datasets) -> dict[str, Callable[[], Awaitable[object]]]:
    upload = await datasets.begin()
    await datasets.send(upload, "a", 1, lines("a"))
    resources, caller = datasets.resources, datasets.caller
    return {
        "commit": lambda: datasets.commit(upload, a=[lines("a")]),
        "part": lambda: datasets.send(upload, "b", 1, lines("b")),
        "file": lambda: datasets.put("b", lines("b")),
        "begin": datasets.begin,
        "remove": lambda: upload_service.remove_file(resources, caller, upload, "a"),
        "abandon": lambda: upload_service.abandon(resources, caller, upload),
        "put": lambda: _put(datasets),
        "delete": datasets.delete,
        "snapshot": lambda: service.delete_snapshot(resources, caller, FIRST),
    }


@pytest.mark.parametrize(
    "operation",
    ["commit", "part", "file", "begin", "remove", "abandon", "put", "delete", "snapshot"],
)
async def test_who_loses_access_while_waiting_for_a_lock_changes_nothing(
    pool: Pool, settings: Settings, operation: str
) -> None:
    datasets = Datasets(pool, settings)
    await datasets.create()
    await datasets.put("x", lines("x"))
    await datasets.put("x", lines("x", value=1))
    act = (await _operations(datasets))[operation]
    revoked = False

    async def recheck() -> Principal:
        if revoked:
            raise InvalidKey("revoked")
        caller = datasets.caller
        return Principal(
            tenant=caller.tenant,
            suspended=False,
            weight=100,
            caps=caller.caps,
            scopes=caller.scopes,
        )

    datasets.caller.recheck = recheck
    before = await pool.fetchrow(STORED)
    async with pool.acquire() as conn, conn.transaction():
        await conn.execute("SELECT FROM datasets FOR UPDATE")
        task = asyncio.ensure_future(act())
        await until_one_waits(pool)
        revoked, datasets.caller.checked_at = True, 0.0

    with pytest.raises(InvalidKey):
        await task

    assert await pool.fetchrow(STORED) == before
    assert datasets.blob_keys() == await datasets.referenced_keys()
