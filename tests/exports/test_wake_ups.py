"""Due tasks of exports begin without a poll, which is an hour away here."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import UUID

import pytest
import uuid_utils.compat as uuid

from app import notifier
from app.background import background
from app.db import Pool
from app.executions.dispatch.engine_slots import PartLost
from app.exports import ending, runner, scripted
from app.exports.engines.runner import run_exports_on
from app.exports.model import ExportStatus
from app.exports.runner import run_exports
from app.exports.scripted import run_scripts
from app.runs import ending as run_ending
from app.settings import Settings
from app.tenants.model import DEFAULT_TENANT as TENANT
from tests.exports.running_exports import RunningExports, StandInTask, open_exports

_HOUR = 3_600


@pytest.fixture
async def exports(
    pool: Pool, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[RunningExports]:
    for module in (runner, scripted):
        monkeypatch.setattr(module, "_POLL_SECONDS", _HOUR)
    monkeypatch.setattr(notifier, "RESYNC_SECONDS", _HOUR)
    async with open_exports(pool, settings) as running:
        yield running


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await condition():  # noqa: ASYNC110 - it is of the database
            await asyncio.sleep(0.05)


async def until_ended(exports: RunningExports, export: UUID) -> str:
    async def has_ended() -> bool:
        return (await exports.row(export))["finished_at"] is not None

    await until(has_ended)
    status: str = (await exports.row(export))["status"]
    return status


async def test_an_accepted_export_is_run_at_once(exports: RunningExports) -> None:
    async with background(run_exports(exports.resources, uuid.uuid7(), StandInTask())):
        # The first one may be found as the loop begins.
        for _ in range(3):
            assert await until_ended(exports, await exports.create()) == "succeeded"


async def test_an_export_is_published_as_soon_as_the_one_before_it_has_ended(
    exports: RunningExports,
) -> None:
    first, second = [await exports.create(destination="file:///nowhere/") for _ in range(2)]
    await exports.pool.execute(
        "UPDATE export_tasks SET due_at = 'infinity' WHERE export_id = $1", first
    )

    async def waits_for_its_turn() -> bool:
        row = await exports.row(second)
        return str(row["stage"]) == "publish"

    async with background(run_exports(exports.resources, uuid.uuid7(), StandInTask())):
        await until(waits_for_its_turn)
        async with exports.pool.acquire() as conn, conn.transaction():
            await ending.end(conn, TENANT, first, ExportStatus.CANCELLED)
        # Its destination is not allowed here.
        assert await until_ended(exports, second) == "failed"


class StandInEngine:
    """Loses what it is given, which is due again after a while."""

    workers = 1

    def __init__(self) -> None:
        self.given: list[str] = []

    async def call(
        self,
        run: Callable[[bytes, int], bytes],  # noqa: ARG002 - as an engine has it
        message: bytes,  # noqa: ARG002
        *,
        key: str,
    ) -> bytes:
        self.given.append(key)
        raise PartLost("it stands in", begun=False)


async def test_an_accepted_export_is_given_to_an_engine_at_once(exports: RunningExports) -> None:
    engine = StandInEngine()

    async with background(run_exports_on(exports.resources, uuid.uuid7(), engine)):
        for _ in range(3):
            export = await exports.create()

            async def is_given(export: UUID = export) -> bool:
                return any(str(export) in key for key in engine.given)

            await until(is_given)


async def test_an_export_goes_on_as_soon_as_the_run_of_its_script_has_ended(
    exports: RunningExports,
) -> None:
    async with background(run_scripts(exports.resources)):
        for _ in range(3):
            export = await exports.create()
            # One that is gone has ended, too.
            await exports.pool.execute(
                "UPDATE exports SET stage = 'script', run_id = gen_random_uuid() WHERE id = $1",
                export,
            )
            await exports.pool.execute(run_ending.NOTIFY, "{}")
            assert await until_ended(exports, export) == "failed"
