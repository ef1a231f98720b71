"""A script that observes a hundred things sees the same after vandals as in a fresh cell."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from app.sandbox.outcomes import Job
from tests.security.corpus import LIMITS
from tests.security.isolation_modes import (
    MODES,
    Observed,
    ObservedPool,
    ObservedPools,
    open_pools,
)
from tests.security.vandals import BREAKING, CHANGES, script

OBSERVER = Path(__file__).with_name("observations.js").read_bytes()
CLOCK_MS = 1_700_000_000_000

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pools() -> AsyncIterator[ObservedPools]:
    async with open_pools() as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def observed(request: pytest.FixtureRequest, pools: ObservedPools) -> ObservedPool:
    return await pools.find(request.param)


@pytest_asyncio.fixture(loop_scope="module")
async def fresh(observed: ObservedPool) -> Observed:
    """What is observed in a fresh cell."""
    if observed.fresh is None:
        observed.fresh = await observe(observed, observed.new_tenant())
    return observed.fresh


in_each_mode = pytest.mark.parametrize("observed", MODES, indirect=True)


async def run(observed: ObservedPool, source: bytes, tenant: str) -> Observed:
    job = Job(tenant=tenant, source=source, seed=7, clock_ms=CLOCK_MS, limits=LIMITS)
    return await observed.run(job, b'{"a":[1,"\xc3\xa9"]}')


def changed_by(change: bytes) -> bytes:
    """Return the observer with a change before its observations, in its own context."""
    before, mark, after = OBSERVER.partition(b"// Tests put a change here.")
    assert mark
    return before + change + after


async def observe(observed: ObservedPool, tenant: str) -> Observed:
    return await run(observed, OBSERVER, tenant)


def assert_same(seen: Observed, fresh: Observed) -> None:
    # As values first: a difference then shows by its name.
    assert seen.ran.value == fresh.ran.value
    assert seen.seen == fresh.seen


@in_each_mode
async def test_a_hundred_things_are_observed(fresh: Observed) -> None:
    value = fresh.ran.value
    assert isinstance(value, dict)
    assert len(value) > 100
    assert int(value["everything"].partition(":")[0]) > 4_000
    assert (value["early"], value["statics"], value["tasks"]) == ("|||", "||", "none")


@pytest.mark.parametrize("observed", ["isolate"], indirect=True)
@pytest.mark.parametrize("name", CHANGES | BREAKING)
async def test_a_change_in_the_same_context_is_observed(
    observed: ObservedPool, fresh: Observed, name: str
) -> None:
    change = (CHANGES | BREAKING)[name].encode()
    seen = await run(observed, changed_by(change), observed.new_tenant())

    assert seen.seen != fresh.seen


@in_each_mode
async def test_three_vandals_leave_nothing(observed: ObservedPool, fresh: Observed) -> None:
    attacked = observed.new_tenant()
    vandals = [await run(observed, script(*CHANGES.values()), attacked) for _ in range(3)]
    after = await observe(observed, attacked)

    assert {each.ran.output for each in vandals} == {b"{}"}
    assert {each.pid for each in vandals} == {after.pid}
    assert_same(after, fresh)


@in_each_mode
@pytest.mark.parametrize("name", CHANGES)
async def test_a_change_is_not_observed(observed: ObservedPool, fresh: Observed, name: str) -> None:
    attacked = observed.new_tenant()
    vandal = await run(observed, script(CHANGES[name]), attacked)
    after = await observe(observed, attacked)

    assert vandal.pid == after.pid
    assert_same(after, fresh)


@in_each_mode
@pytest.mark.parametrize("name", BREAKING)
async def test_a_change_that_makes_others_slow_ends_the_cell(
    observed: ObservedPool, fresh: Observed, name: str
) -> None:
    attacked = observed.new_tenant()
    vandal = await run(observed, script(BREAKING[name]), attacked)
    after = await observe(observed, attacked)

    assert (vandal.pid != after.pid) == observed.retires
    assert_same(after, fresh)


@in_each_mode
async def test_it_is_observed_twice_the_same(observed: ObservedPool) -> None:
    attacked = observed.new_tenant()
    first, second = [await observe(observed, attacked) for _ in range(2)]

    assert first.pid == second.pid
    assert_same(second, first)


@in_each_mode
async def test_a_vandal_of_the_same_source_leaves_nothing(observed: ObservedPool) -> None:
    # V8 keeps compiled code by its source, so both have the same functions in common.
    changes = "".join(f"try {{ {each} }} catch {{}}\n" for each in CHANGES.values())
    both = changed_by(b"if (!data.a) {\n%b return {} }" % changes.encode())
    attacked = observed.new_tenant()
    fresh = await run(observed, both, observed.new_tenant())
    job = Job(tenant=attacked, source=both, seed=7, clock_ms=CLOCK_MS, limits=LIMITS)
    vandal = await observed.run(job, b"{}")
    after = await run(observed, both, attacked)

    assert (vandal.ran.output, vandal.pid) == (b"{}", after.pid)
    assert_same(after, fresh)
