"""Pairs are compared once, whatever crashes, overlaps or is erased meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Final
from uuid import UUID

import pytest
import uuid_utils.compat as uuid
from msgspec import Raw

from app.auth.callers import Caller
from app.auth.model import AuthMethod
from app.comparisons import comparer
from app.comparisons.json_differences import changes_between
from app.comparisons.model import Change, Comparison, CreateComparison
from app.comparisons.pair_store import claim_comparison, delete_comparisons
from app.comparisons.problems import ComparisonNotFound
from app.comparisons.service import create, show
from app.db import Pool
from app.executions.payload_store import erase_payloads
from app.executions.queue_limit import QueueLimit
from app.limits import LimitChoice
from app.metrics import COMPARISONS
from app.quotas.model import Caps
from app.replays.model import CreateReplays, ReplayFilter
from app.replays.service import create as replay
from app.resources import Resources, open_resources
from app.scripts import store as scripts
from app.settings import Settings
from app.tenants.model import DEFAULT_TENANT as TENANT
from tests.support.submissions import accept

CALLER: Final = Caller(
    tenant=TENANT,
    caps=Caps(),
    auth_method=AuthMethod.OPEN,
    key_id=None,
    scopes=frozenset(),
    address=None,
    request_id="a-request",
)
# More than two pages of the comparer.
INPUTS: Final = 120
FINISH: Final = """
UPDATE executions
SET status = 'succeeded', finished_at = now(), cpu_ms = CASE WHEN version = 1 THEN 1 ELSE 3 END
WHERE finished_at IS NULL
"""
# The second version's results differ in every fourth pair, in a member.
RESULTS: Final = """
INSERT INTO payloads (execution_id, kind, tenant_id, sha256, size_bytes, body)
SELECT r.id, 'result', r.tenant_id, sha256(r.body), length(r.body), r.body
FROM (
    SELECT e.id, e.tenant_id,
           format('{"n":%s}', CASE WHEN (batch_line - 1) / 2 % 4 = 0 THEN version ELSE 0 END)::bytea
           AS body
    FROM executions AS e
    WHERE batch_id IS NOT NULL
) AS r
"""


@pytest.fixture
async def resources(pool: Pool, settings: Settings) -> AsyncIterator[Resources]:
    async with pool.acquire() as conn:
        script = uuid.uuid7()
        await scripts.insert_script(conn, TENANT, script, name="plain", description="")
        for _ in range(2):
            await scripts.insert_version(
                conn, TENANT, script, source=b"x", limits=LimitChoice(), note=""
            )
    async with open_resources(settings, cells=1) as resources:
        yield resources


@pytest.fixture
async def due(resources: Resources) -> UUID:
    """A comparison whose executions have all ended, without a worker."""
    for number in range(INPUTS):
        await accept(resources, "plain@1", b"%d" % number)
    await resources.pool.execute(FINISH)
    created = await _create(resources)
    await resources.pool.execute(FINISH)
    await resources.pool.execute(RESULTS)
    return created


def _finished() -> float:
    value = COMPARISONS.labels("different")._value
    number: float = value.get()
    return number


def _counts(comparison: Comparison) -> tuple[object, ...]:
    return comparison.same, comparison.differing, comparison.undecided, comparison.cpu_ratio


async def _create(resources: Resources, *, limit: int = 0) -> UUID:
    wanted = CreateComparison(from_=1, to=2)
    queue_limit = QueueLimit(limit=limit)
    return (await create(resources, CALLER, "plain", wanted, key=None, queue_limit=queue_limit)).id


async def test_tenants_take_turns(resources: Resources, due: UUID) -> None:
    second, others = [await _create(resources) for _ in range(2)]
    await resources.pool.execute(FINISH)
    other = uuid.uuid7()
    await resources.pool.execute("INSERT INTO tenants (id, name) VALUES ($1, 'other')", other)
    await resources.pool.execute(
        "UPDATE comparisons SET tenant_id = $2 WHERE id = $1", others, other
    )

    claimed = []
    while True:
        async with resources.pool.acquire() as conn:
            each = await claim_comparison(conn, lease_seconds=60)
        if each is None:
            break
        claimed.append(each.id)
        await resources.pool.execute(
            "UPDATE comparisons SET state = 'finished', finished_at = now(), same = inputs "
            "WHERE id = $1",
            each.id,
        )

    assert claimed == [due, others, second]


async def test_an_acceptance_never_waits_for_a_second_connection(
    resources: Resources, due: UUID
) -> None:
    replayed = CreateReplays(filter=ReplayFilter(script="plain"))
    async with AsyncExitStack() as stack, asyncio.timeout(60):
        for _ in range(resources.pool.get_max_size() - 1):
            await stack.enter_async_context(resources.pool.acquire())
        assert await _create(resources, limit=10_000) != due
        queue_limit = QueueLimit(limit=10_000)
        queued = await replay(resources, CALLER, replayed, key=None, queue_limit=queue_limit)

    assert queued.items == INPUTS


async def test_workers_that_overlap_count_each_pair_once(
    resources: Resources, due: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A lease that is over at once, as if every worker took the other for dead.
    monkeypatch.setattr(comparer, "_LEASE_SECONDS", 0.0)
    before = _finished()

    await asyncio.gather(*(comparer.compare_due(resources) for _ in range(3)))

    compared = await show(resources, TENANT, due)
    assert _counts(compared) == (90, 30, 0, 3.0)
    assert isinstance(compared.differences, list)
    assert len(compared.differences) == 30
    assert all(each.changes for each in compared.differences)
    assert _finished() - before == 1


async def test_another_worker_goes_on_where_one_crashed(
    resources: Resources, due: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0
    compare: Callable[..., object] = changes_between

    def crash_once(*arguments: object, **choices: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 20:
            message = "crashed"
            raise RuntimeError(message)
        return compare(*arguments, **choices)

    monkeypatch.setattr(comparer, "changes_between", crash_once)
    with pytest.raises(RuntimeError):
        await comparer.compare_due(resources)
    await comparer.compare_due(resources)
    held = await show(resources, TENANT, due)
    await resources.pool.execute("UPDATE comparisons SET lease_expires_at = '-infinity'")
    await comparer.compare_due(resources)

    assert (held.state, held.finished_at) == ("running", None)
    assert _counts(await show(resources, TENANT, due)) == (90, 30, 0, 3.0)
    # What was stored before the crash, a page and six pairs, was not compared again.
    assert calls == 31


async def test_results_that_are_expensive_to_compare_count_as_different(
    resources: Resources, due: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparer, "_BUDGET_SECONDS", 0.0)

    await comparer.compare_due(resources)

    compared = await show(resources, TENANT, due)
    assert _counts(compared) == (90, 30, 0, 3.0)
    assert isinstance(compared.differences, list)
    whole = [Change(pointer=Raw(b'""'), before_bytes=7, after_bytes=7)]
    assert [each.changes for each in compared.differences] == [whole] * 30


async def test_comparisons_are_deleted_by_age(resources: Resources, due: UUID) -> None:
    async def delete() -> int:
        async with resources.pool.acquire() as conn:
            return await delete_comparisons(conn, 1, 10)

    await resources.pool.execute("UPDATE comparisons SET created_at = now() - interval '2 days'")
    unfinished = await delete()
    await comparer.compare_due(resources)

    assert (unfinished, await delete(), await delete()) == (0, 1, 0)
    assert await resources.pool.fetchval("SELECT count(*) FROM comparison_items") == 0
    with pytest.raises(ComparisonNotFound):
        await show(resources, TENANT, due)


async def test_what_is_erased_while_it_is_compared_is_not_stored(
    resources: Resources, due: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    compare: Callable[..., object] = changes_between
    first = await resources.pool.fetchval(
        "SELECT to_execution_id FROM comparison_items WHERE position = 1"
    )

    async def erase() -> None:
        async with resources.pool.acquire() as conn:
            await erase_payloads(conn, TENANT, first)

    def erase_meanwhile(*arguments: object, **choices: object) -> object:
        # In the thread that compares: both results have been read already.
        asyncio.run_coroutine_threadsafe(erase(), loop).result()
        return compare(*arguments, **choices)

    monkeypatch.setattr(comparer, "changes_between", erase_meanwhile)
    await comparer.compare_due(resources)

    compared = await show(resources, TENANT, due)
    assert _counts(compared) == (90, 30, 0, 3.0)
    assert isinstance(compared.differences, list)
    shown = {each.to.execution: bool(each.changes) for each in compared.differences}
    assert [each for each, has_changes in shown.items() if not has_changes] == [first]
