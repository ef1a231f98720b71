"""Nothing that an execution leaves in its cell changes data, limits or receipts of the next."""

import asyncio
from collections.abc import AsyncIterator, Callable

import psutil
import pytest
import pytest_asyncio

from app.sandbox.outcomes import (
    Context,
    InvalidInput,
    Job,
    Limits,
    Outcome,
    OutOfMemory,
    OutputTooLarge,
    Succeeded,
    TimedOut,
)
from tests.security.isolation_modes import (
    MODES,
    Observed,
    ObservedPool,
    ObservedPools,
    open_pools,
)
from tests.support.processes import until
from tests.support.sandbox_runs import MIB, job

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.parametrize("observed", MODES, indirect=True),
]

ECHO = b"const process = (data, context) => [data, context]"
LIMIT = 64 * MIB
# Of a cell, at which it is closed between two jobs (cell_pool.py), and noise of the allocator.
MAX_GROWTH = 64 * MIB
NOISE = 24 * MIB


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pools() -> AsyncIterator[ObservedPools]:
    async with open_pools() as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def observed(request: pytest.FixtureRequest, pools: ObservedPools) -> ObservedPool:
    return await pools.find(request.param)


async def echo(observed: ObservedPool, tenant: str, payload: bytes = b"2") -> Observed:
    return await observed.run(job(ECHO, tenant=tenant), payload)


@pytest.mark.parametrize(
    ("payload", "kind", "stays"),
    [
        (b'{"secret":"' + b"s" * 3 * MIB + b'"}', Succeeded, True),
        (b'["' + b"\xc3\xa9" * 10_000 + b'"]', Succeeded, True),
        (b'{"secret":', InvalidInput, True),
        (b'"secret\xff"', InvalidInput, False),
    ],
    ids=["large", "two bytes a letter", "no JSON", "no UTF-8"],
)
async def test_nothing_of_a_payload_is_left(
    observed: ObservedPool,
    payload: bytes,
    kind: type[Outcome],
    stays: bool,  # noqa: FBT001 - a parameter of the table above
) -> None:
    tenant = observed.new_tenant()
    first = await echo(observed, tenant, payload)
    second = await echo(observed, tenant)
    third = await echo(observed, tenant, b'{"a":"\xc3\xa9"}')

    assert isinstance(first.ran.outcome, kind)
    assert (first.pid == second.pid) is stays
    assert second.seen == (await echo(observed, observed.new_tenant())).seen
    assert third.ran.output.startswith(b'[{"a":"\xc3\xa9"},{"execution_id":')


async def test_nothing_of_a_large_output_is_left(observed: ObservedPool) -> None:
    tenant = observed.new_tenant()
    large = "const process = () => ({ secret: 'é'.repeat(2e6), lost: [new Map()] })"
    first = await observed.run(job(large, tenant=tenant))
    refused = await observed.run(job(large, tenant=tenant, output_bytes=1_000))
    second = await echo(observed, tenant)

    assert (len(first.ran.output), len(first.ran.report.losses)) == (4_000_025, 1)
    assert isinstance(refused.ran.outcome, OutputTooLarge)
    assert first.pid == refused.pid == second.pid
    assert second.seen == (await echo(observed, observed.new_tenant())).seen


async def test_nothing_of_a_context_is_left(observed: ObservedPool) -> None:
    def of(context: Context, tenant: str) -> Job:
        limits = Limits(wall_ms=10_000, memory_bytes=512 * MIB, output_bytes=MIB)
        return Job(tenant=tenant, source=ECHO, seed=7, clock_ms=1, limits=limits, context=context)

    tenant = observed.new_tenant()
    secret = Context(labels={"secret": "s" * 200}, params='{"secret":' + "1" * 5_000 + "}")
    first = await observed.run(of(secret, tenant))
    second = await observed.run(of(Context(version=3), tenant))
    fresh = await observed.run(of(Context(version=3), observed.new_tenant()))

    assert b"secret" in first.ran.output
    assert first.pid == second.pid
    assert second.seen == fresh.seen
    assert b"secret" not in second.ran.output


async def test_a_check_and_a_run_leave_nothing_for_each_other(observed: ObservedPool) -> None:
    tenant = observed.new_tenant()
    source = b"globalThis.secret = 1\nconst process = () => 1"
    plain = b"const process = () => typeof secret"
    pids = []
    for _ in range(2):
        run = await observed.run(job(source, tenant=tenant))
        examined = await observed.pool.examine(plain, tenant=tenant, wall_ms=5_000)
        named = await observed.pool.examine(source, tenant=tenant, wall_ms=5_000)
        after = await observed.run(job(plain, tenant=tenant))
        pids += [run.pid, after.pid]

        assert ("secret" in named.globals, "secret" in examined.globals) == (True, False)
        assert after.ran.output == b'"undefined"'
    assert len(set(pids)) == 1


async def test_a_cancelled_execution_takes_its_cell_along(observed: ObservedPool) -> None:
    tenant = observed.new_tenant()
    before = await echo(observed, tenant)
    cell = psutil.Process(before.pid)
    idle = cell.cpu_times().user
    endless = job("function process() { while (true); }", tenant=tenant, wall_ms=60_000)
    running = asyncio.create_task(observed.run(endless))
    await until(lambda: cell.cpu_times().user > idle + 0.2)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    after = await echo(observed, tenant)

    assert (after.pid != before.pid, after.seen) == (True, before.seen)


# Garbage on the heap and beside it; the cell may end by more of it.
GARBAGE = """
const process = megabytes => {
  const kept = []
  for (let i = 0; i < megabytes; i++) kept.push(new Uint8Array(2 ** 20).fill(1))
  for (let i = 0; i < 10_000; i++) kept.push({ i, text: `secret ${i}` })
  return kept.length
}"""
STAYS = b"8"


def heap(size_bytes: int) -> str:
    # Numbers in packed arrays of doubles: eight bytes each.
    return f"""
    const process = () => {{
      const kept = []
      for (let i = 0; i < {size_bytes // (8 * 2**16)}; i++) {{
        const part = []
        for (let j = 0; j < 2 ** 16; j++) part.push(j + 0.5)
        kept.push(part.slice())
      }}
      return kept.length
    }}"""


def array_buffer(size_bytes: int) -> str:
    return f"const process = () => new Uint8Array({size_bytes}).fill(1).length"


@pytest.mark.parametrize("megabytes", [STAYS, b"40"])
@pytest.mark.parametrize("fill", [heap, array_buffer])
async def test_a_memory_limit_is_the_executions_own(
    observed: ObservedPool, fill: Callable[[int], str], megabytes: bytes
) -> None:
    # Below 0.8 of the limit is always granted; above 1.3 of it and 112 MiB never.
    inside = fill(int(0.8 * LIMIT)), Succeeded
    outside = fill(int(1.3 * LIMIT) + 112 * MIB), OutOfMemory
    for source, kind in (inside, outside):
        tenant = observed.new_tenant()
        garbage = job(GARBAGE, tenant=tenant, memory_bytes=LIMIT)
        first = await observed.run(garbage, megabytes)
        second = await observed.run(job(source, tenant=tenant, memory_bytes=LIMIT))

        assert megabytes != STAYS or first.pid == second.pid
        assert isinstance(second.ran.outcome, kind), second.ran.outcome


# Old lists keep young objects alive until V8 collects everything, even if nothing refers to the
# lists any more: then both are still counted.
HELD_BY_GARBAGE = """
const process = count => {
  globalThis.list = new Array(300_000).fill(null)
  for (let i = 0; i < count; i++) list[i] = { i, more: [i, i + 1, i + 2] }
  return 1
}"""
# About 120 bytes each, all replaced eight times.
REPLACED = """
const process = count => {
  const live = []
  for (let turn = 0; turn < 8; turn++) {
    for (let i = 0; i < count; i++) live[i] = { i, turn, more: [i, turn, 3] }
  }
  return live.length
}"""


@pytest.mark.parametrize(
    ("garbage", "limit", "part"), [(200_000, 96 * MIB, 0.55), (150_000, 128 * MIB, 0.3)]
)
async def test_garbage_of_another_execution_does_not_count(
    observed: ObservedPool, garbage: int, limit: int, part: float
) -> None:
    tenant = observed.new_tenant()
    count = int(part * limit / 120)
    await observed.run(job(HELD_BY_GARBAGE, tenant=tenant, memory_bytes=128 * MIB), b"%d" % garbage)
    second = await observed.run(job(REPLACED, tenant=tenant, memory_bytes=limit), b"%d" % count)

    assert isinstance(second.ran.outcome, Succeeded), second.ran.outcome


async def test_a_time_limit_is_the_executions_own(observed: ObservedPool) -> None:
    tenant = observed.new_tenant()
    busy = "const process = () => { let s = 0; for (let i = 0; i < 3e8; i++) s += i; return s }"
    first = await observed.run(job(busy, tenant=tenant, cpu_ms=60_000, wall_ms=60_000))
    used_ms = int(first.ran.report.usage.cpu_ms)
    second = await observed.run(job(ECHO, tenant=tenant, cpu_ms=used_ms, wall_ms=60_000))
    endless = job("function process() { while (true); }", tenant=tenant, cpu_ms=100)
    third = await observed.run(endless)

    assert first.pid == second.pid == third.pid
    assert isinstance(second.ran.outcome, Succeeded)
    assert third.ran.outcome == TimedOut(limit_ms=100, of_cpu=True)


async def test_a_receipt_has_the_executions_own_cpu_time(observed: ObservedPool) -> None:
    tenant = observed.new_tenant()
    busy = "const process = () => { let s = 0; for (let i = 0; i < 3e8; i++) s += i; return s }"
    first = await observed.run(job(busy, tenant=tenant))
    second = await echo(observed, tenant)

    assert first.pid == second.pid
    assert second.ran.report.usage.cpu_ms < first.ran.report.usage.cpu_ms / 3


async def test_a_receipts_memory_has_at_most_what_a_cell_may_keep(observed: ObservedPool) -> None:
    tenant = observed.new_tenant()
    fresh = await echo(observed, observed.new_tenant())
    large = "const process = () => { const k = []; for (let i = 0; i < %d; i++) "
    large += "k.push(new Uint8Array(2 ** 20).fill(1)); return k.length }"
    for count in (50, 150, 300):
        first = await observed.run(job(large % count, tenant=tenant))
        second = await echo(observed, tenant)

        peak = second.ran.report.usage.peak_memory_bytes
        assert first.ran.report.usage.peak_memory_bytes > count * MIB
        assert peak < fresh.ran.report.usage.peak_memory_bytes + MAX_GROWTH + NOISE
