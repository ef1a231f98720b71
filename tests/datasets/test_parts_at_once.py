"""A tenant's parts that arrive at once are few: each takes memory."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine

import pytest

from app.datasets import file_service, upload_service
from app.datasets.upload_service import Part
from app.db import Pool
from app.limits import MAX_PARTS_AT_ONCE
from app.settings import Settings
from tests.datasets.stores import NAME, Datasets

LINE = b'{"pk":"a"}\n'


async def _send_part(datasets: Datasets, part: Part) -> None:
    upload = await datasets.begin()
    await upload_service.receive_part(
        datasets.resources, datasets.caller, upload, part, turns=datasets.turns
    )


async def _send_file(datasets: Datasets, part: Part) -> None:
    await file_service.receive_file(
        datasets.resources, datasets.caller, NAME, part, turns=datasets.turns
    )


@pytest.mark.parametrize("send", [_send_part, _send_file])
async def test_more_parts_than_a_tenant_has_turns_are_not_read(
    pool: Pool, settings: Settings, send: Callable[[Datasets, Part], Coroutine[None, None, None]]
) -> None:
    datasets = Datasets(pool, settings)
    await datasets.create()
    begun, goes_on = 0, asyncio.Event()

    async def arriving() -> AsyncIterator[bytes]:
        nonlocal begun
        begun += 1
        yield LINE
        await goes_on.wait()

    async with asyncio.TaskGroup() as group, asyncio.timeout(60):
        for number in range(MAX_PARTS_AT_ONCE + 2):
            part = Part(path=f"{number}", number=1, data=arriving())
            group.create_task(send(datasets, part))
        # ASYNC110: they begin one by one.
        while begun < MAX_PARTS_AT_ONCE:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        # The others have had the time to begin as well.
        await asyncio.sleep(0.2)
        assert begun == MAX_PARTS_AT_ONCE
        goes_on.set()
    assert begun == MAX_PARTS_AT_ONCE + 2
