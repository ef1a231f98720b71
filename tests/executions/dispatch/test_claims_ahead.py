"""Claims ahead cost no attempt that has not begun, and no other worker or tenant its turn."""

import asyncio
from collections.abc import Sequence
from time import monotonic

import pytest
import uuid_utils.compat as uuid
from msgspec.structs import replace

from app.db import Connection, Pool
from app.executions.dispatch import claims
from app.executions.dispatch.claims_ahead import MAX_AHEAD, MAX_AHEAD_SECONDS, ClaimsAhead
from app.executions.dispatch.running_claims import RunningClaims
from app.executions.model import Claim, SlotUsage
from app.resources import open_resources
from app.settings import Settings
from app.workers import store as workers
from tests.executions.dispatch.workers import open_dispatcher
from tests.support.queues import SUCCESS, Queues

ROW = "SELECT status, attempts, held FROM executions WHERE id = $1"
EXPIRE = "UPDATE executions SET lease_expires_at = now() - interval '1 s' WHERE status = 'running'"


@pytest.fixture
def queues(pool: Pool) -> Queues:
    return Queues(pool)


async def state(queues: Queues, claim: Claim) -> tuple[object, ...]:
    return tuple(await queues.pool.fetchrow(ROW, claim.id) or ())


async def begin(queues: Queues, held: Sequence[Claim], begun_ms_ago: Sequence[float | None]) -> int:
    async with queues.pool.acquire() as conn:
        renewed = await claims.renew(conn, held, lease_seconds=60, begun_ms_ago=begun_ms_ago)
    return len(renewed)


def loop_time() -> float:
    return asyncio.get_running_loop().time()


async def test_a_dead_worker_costs_what_it_has_not_begun_no_attempt(queues: Queues) -> None:
    await queues.accept(await queues.tenant(), 4)
    begun, began_later, *held = await queues.claim(1, ahead=3)
    assert [each.held for each in (begun, began_later, *held)] == [False, True, True, True]
    assert await begin(queues, [begun, began_later, *held], [0.0, 5.0, None, None]) == 4

    await queues.pool.execute(EXPIRE)
    rescued = await queues.rescue()

    assert {each.id: each.attempts for each in rescued} == {
        begun.id: 1, began_later.id: 1, held[0].id: 0, held[1].id: 0,
    }  # fmt: skip
    assert all((each.held_seconds != 0) == (each.attempts > 0) for each in rescued)
    await queues.require_consistent()


async def test_what_a_worker_has_lost_is_never_claimed_ahead_again(queues: Queues) -> None:
    # An execution that kills its worker at once must not come back uncounted without end.
    ids = await queues.accept(await queues.tenant(), 2)
    numbers = []
    for _ in range(3):
        claimed = await queues.claim(1, ahead=1)
        numbers.append(len(claimed))
        claimed += await queues.claim(1, ahead=1)
        await queues.pool.execute(EXPIRE)
        await queues.rescue(max_attempts=2)

    assert numbers == [2, 1, 1]
    rows = [await queues.pool.fetchrow(ROW, each) for each in ids]
    assert [tuple(row or ()) for row in rows] == [("failed", 2, False), ("failed", 2, False)]


async def test_a_held_claim_is_released_uncounted_and_may_be_held_again(queues: Queues) -> None:
    await queues.accept(await queues.tenant(), 2)
    _, held = await queues.claim(1, ahead=1)
    assert await state(queues, held) == ("running", 1, True)

    assert await queues.release(held)

    assert await state(queues, held) == ("queued", 0, False)
    await queues.accept(held.tenant_id)
    assert [each.held for each in await queues.claim(1, ahead=1)] == [False, True]


async def test_a_tenant_with_a_cap_is_not_held_and_loses_no_turn(queues: Queues) -> None:
    capped, other = await queues.tenant(max_running=3), await queues.tenant()
    await queues.accept(other, 6)
    await queues.accept(capped, 6)

    # Turns alternate; the turn after the first of each is one that may not be held.
    claimed = await queues.claim(2, ahead=6)
    assert [(each.tenant_id, each.held) for each in claimed] == [
        (other, False), (capped, False), (other, True),
    ]  # fmt: skip

    # The others' held claims do not delay it once it is next.
    for each in claimed:
        await queues.finish(each)
    used = (SlotUsage(tenant=other, seconds=5.0), SlotUsage(tenant=capped, seconds=0.1))
    [following] = await queues.claim(1, ahead=6, slot_usage=used)
    assert following.tenant_id == capped
    assert await queues.claim(0, ahead=6) == []


async def test_what_other_workers_could_begin_is_left_to_them(queues: Queues) -> None:
    await queues.accept(await queues.tenant(), 10)
    async with queues.pool.acquire() as conn:
        await _register(conn, slots=3)
        await _register(conn, slots=4, trouble="no memory")

    claimed = await queues.claim(2, ahead=16)

    assert [each.held for each in claimed] == [False] * 2 + [True] * 5


async def _register(conn: Connection, *, slots: int, trouble: str | None = None) -> None:
    await workers.record_heartbeat(
        conn,
        uuid.uuid7(),
        host="a",
        pid=1,
        slots=slots,
        v8_version="1",
        lockdown={},
        max_memory_bytes=None,
        trouble=trouble,
    )


@pytest.mark.parametrize("renewed", [True, False])
async def test_an_execution_has_started_when_it_began(queues: Queues, *, renewed: bool) -> None:
    await queues.accept(await queues.tenant(), 2)
    _, held = await queues.claim(1, ahead=1)
    await queues.pool.execute("UPDATE executions SET started_at = started_at - interval '1 h'")
    if renewed:
        assert await begin(queues, [held], [60_000.0]) == 1
    else:
        await queues.finish(held, replace(SUCCESS, begun=monotonic() - 60))

    seconds_ago = "extract(epoch FROM clock_timestamp() - started_at)::float8"
    ago = await queues.pool.fetchval(f"SELECT {seconds_ago} FROM executions WHERE id = $1", held.id)  # noqa: S608
    assert 60 <= ago < 1_000


async def test_a_tenant_that_has_none_running_begins_first(queues: Queues) -> None:
    flood, newcomer = await queues.tenant(), await queues.tenant()
    await queues.accept(flood, 4)
    held = RunningClaims(on_slot_free=lambda _: None)
    for each in await queues.claim(1, ahead=3):
        held.add(each, started=loop_time())
    await queues.accept(newcomer, 2)
    for each in await queues.claim(0, ahead=2):
        held.add(each, started=loop_time())

    begun = {each for each in held if not each.is_held}
    order = []
    while held.begin_next():
        [following] = {each for each in held if not each.is_held} - begun
        begun.add(following)
        order.append(following.claim.tenant_id)

    # One of the flood's runs already.
    assert order == [newcomer, flood, newcomer, flood, flood]


def test_only_short_runs_are_claimed_ahead() -> None:
    ahead = ClaimsAhead(slots=2)
    assert ahead.limit == 0
    ahead.observe(MAX_AHEAD_SECONDS / 5)
    assert ahead.limit == 10
    ahead.observe(10.0)
    assert ahead.limit == 0
    for _ in range(200):
        ahead.observe(0.0001)
    assert ahead.limit == MAX_AHEAD


async def test_many_short_executions_take_few_claims(
    queues: Queues, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    claim = claims.claim

    async def counted(*arguments: object, **options: object) -> claims.Claimed:
        # It passes on whatever the dispatcher calls it with.
        claimed = await claim(*arguments, **options)  # type: ignore[arg-type]
        sizes.append(len(claimed.executions))
        return claimed

    monkeypatch.setattr(claims, "claim", counted)
    # However slow this machine is, the runs count as short.
    monkeypatch.setattr(ClaimsAhead, "limit", 8)
    ids = await queues.accept(
        await queues.tenant(source=b"function process(data) { return data }"), 40
    )
    async with open_resources(settings, cells=1) as resources, open_dispatcher(resources):
        await _until_ended(queues, len(ids))

    rows = await queues.pool.fetch("SELECT status, attempts, held FROM executions")
    assert {tuple(row) for row in rows} == {("succeeded", 1, False)}
    assert max(sizes) > 3


async def _until_ended(queues: Queues, count: int) -> None:
    ended = "SELECT count(*) FROM executions WHERE finished_at IS NOT NULL"
    async with asyncio.timeout(60):
        while await queues.pool.fetchval(ended) < count:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.05)


async def test_what_goes_back_before_its_task_has_begun_is_released(
    queues: Queues, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ClaimsAhead, "limit", 4)
    ids = await queues.accept(await queues.tenant(source=b"function process() {}"), 9)
    claim = claims.claim
    async with (
        open_resources(settings, cells=1) as resources,
        open_dispatcher(resources) as dispatcher,
    ):
        paused: list[int] = []

        async def trouble_meanwhile(*arguments: object, **options: object) -> claims.Claimed:
            claimed = await claim(*arguments, **options)  # type: ignore[arg-type] # passed on
            held = sum(each.held for each in claimed.executions)
            if held and not paused:
                # All that this claim holds goes back at once.
                dispatcher._health.pause()
                paused.append(held)
            return claimed

        monkeypatch.setattr(claims, "claim", trouble_meanwhile)
        await _until_ended(queues, len(ids))

        assert paused
        # The outcomes of the last are recorded before its tasks are forgotten.
        async with asyncio.timeout(20):
            while list(dispatcher._running):  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.01)


async def test_what_is_held_behind_a_long_run_goes_back(
    queues: Queues, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ClaimsAhead, "limit", 4)
    source = b"function process(data) { for (;;); }"
    await queues.accept(await queues.tenant(source=source), 5)
    async with (
        open_resources(settings, cells=1) as resources,
        open_dispatcher(resources) as dispatcher,
    ):
        dispatcher._more_queued = True
        dispatcher._idle.clear()
        dispatcher.wake()
        held = "SELECT count(*) FROM executions WHERE held"
        back = "SELECT count(*) FROM executions WHERE status = 'queued' AND attempts = 0"
        async with asyncio.timeout(20):
            while not await queues.pool.fetchval(held):  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0)
            while await queues.pool.fetchval(back) < 4:  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.01)
