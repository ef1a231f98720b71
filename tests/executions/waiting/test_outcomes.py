"""A small outcome reaches waiting readers with its notification, as a read would find it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Final
from uuid import UUID

import msgspec
import pytest
import uuid_utils.compat as uuid
from msgspec import UNSET
from msgspec.structs import replace

from app.db import Connection
from app.execution_errors import ErrorKind
from app.executions import service, store
from app.executions.dispatch import claims
from app.executions.model import Execution, Finish, Status
from app.executions.replay_store import insert_replay
from app.executions.waiting.outcomes import decode_outcome
from app.executions.waiting.states import await_final
from app.notifications import CHANNEL, Notice, decode
from app.payloads.model import StoredPayload
from app.payloads.writer import stored_inline
from app.progress.waiters import WaiterRegistry, open_waiter_registry
from app.resources import Resources
from tests.support.queues import SUCCESS, Queues

# What fits beside the rest of a row; the next byte does not.
MAX_PUSHED_BYTES: Final = 4096
URL: Final = "https://receiver.example/hook"

OUTCOMES: Final = {
    "nothing": SUCCESS,
    "a result": replace(
        SUCCESS, result=stored_inline(b'{"caf\xc3\xa9": [1.50, "\\u0000\\ud800"]}')
    ),
    "no text": replace(SUCCESS, result=stored_inline(bytes(range(256)))),
    "the largest result": replace(SUCCESS, result=stored_inline(b"\xff" * MAX_PUSHED_BYTES)),
    "an empty result": replace(SUCCESS, result=stored_inline(b"")),
    "a blob": replace(
        SUCCESS, result=StoredPayload(sha256=bytes(32), size_bytes=2**21, body=None, blob_key="a/b")
    ),
    "a console": replace(SUCCESS, logs=stored_inline(b'{"lines": [], "lines_dropped": 1}')),
    "warnings": replace(SUCCESS, result=stored_inline(b"1"), warnings=b'[{"kind": "NaN"}]'),
    "numbers": replace(SUCCESS, run_ms=0.1 + 0.2, cpu_ms=1e-7, peak_memory_bytes=2**40),
    "a failure": replace(
        SUCCESS,
        status=Status.FAILED,
        error_kind=ErrorKind.SCRIPT_ERROR,
        error=b'{"kind": "script_error", "message": "\\ud800 \\"no\\""}',
    ),
}
TOO_LARGE: Final = {
    "a result": replace(SUCCESS, result=stored_inline(b"\xff" * (MAX_PUSHED_BYTES + 1))),
    "warnings": replace(SUCCESS, warnings=b"[" + b" " * MAX_PUSHED_BYTES + b"]"),
    "both": replace(
        SUCCESS,
        result=stored_inline(b" " * MAX_PUSHED_BYTES),
        warnings=b"[" + b" " * (MAX_PUSHED_BYTES - 2) + b"]",
    ),
}


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[UUID]:
    """The executions that are read from the database; the statement is the real one."""
    ids: list[UUID] = []
    select = store.select_execution

    async def counted(
        conn: Connection, tenant: UUID, each: UUID, *, with_result: bool = True
    ) -> Execution | None:
        ids.append(each)
        return await select(conn, tenant, each, with_result=with_result)

    monkeypatch.setattr(store, "select_execution", counted)
    return ids


@pytest.mark.parametrize("outcome", OUTCOMES.values(), ids=OUTCOMES)
async def test_a_pushed_outcome_is_what_a_read_finds_byte_for_byte(
    queues: Queues, outcome: Finish
) -> None:
    tenant = await queues.tenant()
    [execution] = await queues.accept(tenant, labels={'ü"\n': "\N{GRINNING FACE}\\"}, priority=-3)

    [notice] = await _notices_of(queues, outcome)

    pushed = decode_outcome(notice.outcome)
    assert pushed is not None
    read = await _read(queues, tenant, execution)
    assert (pushed.tenant, pushed.resource) == (tenant, read)
    assert msgspec.json.encode(pushed.resource) == msgspec.json.encode(read)


async def test_params_and_callback_url_are_pushed_too(queues: Queues) -> None:
    tenant = await queues.tenant()
    [execution] = await queues.accept(tenant, params=b'{"a": 1.0}', callback_url=URL)

    [notice] = await _notices_of(queues, SUCCESS)

    pushed = decode_outcome(notice.outcome)
    assert pushed is not None
    read = await _read(queues, tenant, execution)
    assert msgspec.json.encode(pushed.resource) == msgspec.json.encode(read)
    assert b'"params":{"a": 1.0}' in msgspec.json.encode(read)
    assert pushed.resource.callback_url == URL


@pytest.mark.parametrize("outcome", ["a result", "a failure"])
async def test_a_replay_is_pushed_with_its_comparison(queues: Queues, outcome: str) -> None:
    tenant = await queues.tenant()
    [original] = await queues.accept(tenant)
    await _notices_of(queues, OUTCOMES[outcome])
    [execution] = await queues.accept(tenant)
    async with queues.pool.acquire() as conn:
        await insert_replay(conn, tenant, execution, replay_of=original)

    [notice] = await _notices_of(queues, OUTCOMES[outcome])

    pushed = decode_outcome(notice.outcome)
    assert pushed is not None
    read = await _read(queues, tenant, execution)
    assert msgspec.json.encode(pushed.resource) == msgspec.json.encode(read)
    assert read.replay_of == original
    assert read.replay is not UNSET
    assert read.replay.identical


async def test_data_erased_during_the_run_is_not_pushed(queues: Queues) -> None:
    tenant = await queues.tenant()
    [execution] = await queues.accept(tenant, params=b"[1]")
    await queues.pool.execute(
        "UPDATE payloads SET body = NULL, erased_at = now() WHERE execution_id = $1", execution
    )

    [notice] = await _notices_of(queues, replace(SUCCESS, warnings=b"[]"))

    pushed = decode_outcome(notice.outcome)
    assert pushed is not None
    read = await _read(queues, tenant, execution)
    assert msgspec.json.encode(pushed.resource) == msgspec.json.encode(read)
    assert b"data_erased_at" in msgspec.json.encode(read)


@pytest.mark.parametrize("outcome", TOO_LARGE.values(), ids=TOO_LARGE)
async def test_of_a_larger_outcome_only_the_id_is_sent(queues: Queues, outcome: Finish) -> None:
    [execution] = await queues.accept(await queues.tenant())

    [notice] = await _notices_of(queues, outcome)

    assert notice == Notice(ended=(execution,))


async def test_labels_can_make_a_row_too_large(queues: Queues) -> None:
    labels = {f"{n:063}": "\N{GRINNING FACE}" * 63 for n in range(24)}
    [execution] = await queues.accept(await queues.tenant(), labels=labels)

    [notice] = await _notices_of(queues, SUCCESS)

    assert notice == Notice(ended=(execution,))


async def test_a_repeated_report_pushes_the_outcome_again(queues: Queues) -> None:
    await queues.accept(await queues.tenant())

    first, second = await _notices_of(queues, OUTCOMES["a result"], times=2)

    assert bytes(first.outcome) == bytes(second.outcome) != b""


async def test_a_late_report_pushes_nothing(queues: Queues) -> None:
    tenant = await queues.tenant()
    [execution] = await queues.accept(tenant)

    async def cancelled() -> None:
        await queues.cancel(tenant, execution)

    assert await _notices_of(queues, SUCCESS, before=cancelled) == []


async def test_a_waiting_reader_gets_a_pushed_outcome_without_a_read(
    queues: Queues, resources: Resources, reads: list[UUID]
) -> None:
    tenant = await queues.tenant()
    async with _waiting(queues, resources, tenant) as (execution, waiting):
        [claim] = await queues.claim()
        await queues.finish(claim)
        shown = await waiting

        assert reads == []
    assert msgspec.json.encode(shown) == msgspec.json.encode(await _read(queues, tenant, execution))


async def test_a_waiting_reader_reads_after_a_notice_without_an_outcome(
    queues: Queues, resources: Resources, reads: list[UUID]
) -> None:
    tenant = await queues.tenant()
    async with _waiting(queues, resources, tenant) as (execution, waiting):
        [claim] = await queues.claim()
        async with queues.pool.acquire() as conn:
            await claims.finish(conn, claim, TOO_LARGE["a result"])
        shown = await waiting

    assert reads == [execution]
    assert (shown.status, shown.id) == (Status.SUCCEEDED, execution)


async def test_an_outcome_of_another_tenant_wakes_and_shows_nothing(queues: Queues) -> None:
    await queues.accept(await queues.tenant())
    [notice] = await _notices_of(queues, SUCCESS)
    registry = WaiterRegistry(decode_outcome, limit=9, tenant_limit=9)

    with registry.waiter(uuid.uuid7(), final_only=True) as waiter:
        waiter.register(notice.ended[0])
        registry.on_notice(notice)

        assert await waiter.wait(until=0)
        assert waiter.outcome is None


async def test_an_outcome_of_another_execution_wakes_and_shows_nothing(queues: Queues) -> None:
    tenant = await queues.tenant()
    await queues.accept(tenant)
    [notice] = await _notices_of(queues, SUCCESS)
    registry = WaiterRegistry(decode_outcome, limit=9, tenant_limit=9)
    other = uuid.uuid7()

    with registry.waiter(tenant, final_only=True) as waiter:
        waiter.register(other)
        registry.on_notice(replace(notice, ended=(other,)))

        assert await waiter.wait(until=0)
        assert waiter.outcome is None


@pytest.mark.parametrize("row", [b"{}", b"[]", b'{"id": 1}'])
async def test_an_outcome_in_another_form_wakes_a_reader_that_reads(row: bytes) -> None:
    registry = WaiterRegistry(decode_outcome, limit=9, tenant_limit=9)
    execution = uuid.uuid7()

    with registry.waiter(uuid.uuid7(), final_only=True) as waiter:
        waiter.register(execution)
        registry.on_notice(Notice(ended=(execution,), outcome=msgspec.Raw(row)))

        assert await waiter.wait(until=0)
        assert waiter.outcome is None


async def _notices_of(
    queues: Queues,
    outcome: Finish,
    *,
    times: int = 1,
    before: Callable[[], Awaitable[None]] | None = None,
) -> list[Notice]:
    """Claim an execution, record its outcome and return the notices of that."""
    [claim] = await queues.claim()
    if before is not None:
        await before()
    heard: list[str] = []
    async with queues.pool.acquire() as conn:
        await conn.add_listener(CHANNEL, lambda *notice: heard.append(str(notice[3])))
        for _ in range(times):
            await claims.finish(conn, claim, outcome)
        await conn.execute("SELECT true")
        await conn.reset()
    return [decode(each) for each in heard]


async def _read(queues: Queues, tenant: UUID, execution: UUID) -> Execution:
    async with queues.pool.acquire() as conn:
        read = await store.select_execution(conn, tenant, execution)
    assert read is not None
    return read


@asynccontextmanager
async def _waiting(
    queues: Queues, resources: Resources, tenant: UUID
) -> AsyncIterator[tuple[UUID, "asyncio.Task[Execution]"]]:
    opened = open_waiter_registry(resources.settings, resources.notifier, decode_outcome)
    async with opened as registry:
        registry.watch(store.select_states)
        with registry.waiter(tenant, final_only=True) as waiter:
            [execution] = await queues.accept(tenant)
            waiter.register(execution)
            # Until the registry listens: its first look finds nothing that has ended.
            async with queues.pool.acquire() as conn:
                while not await conn.fetchval(_LISTENS):  # noqa: ASYNC110 - no event tells
                    await asyncio.sleep(0.01)
            read = partial(service.show, resources, tenant, execution)
            yield execution, asyncio.create_task(await_final(waiter, read, seconds=60))


_LISTENS: Final = """
SELECT EXISTS (SELECT FROM pg_stat_activity
               WHERE datname = current_database() AND application_name = 'crivo: notices'
                 AND query NOT LIKE 'LISTEN%' AND state = 'idle')
"""
