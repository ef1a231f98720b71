"""An execution reaches, observes and influences no other that runs after it in its cell."""

from collections import Counter
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from _pytest.mark import ParameterSet

from app.sandbox.outcomes import Job, Threw
from tests.security.corpus import KINDS
from tests.security.isolation_modes import (
    KEPT,
    MODES,
    Observed,
    ObservedPool,
    ObservedPools,
    open_pools,
)
from tests.security.pairs import FIRST, PAIRS, SECOND, Pair, read_pairs

CORPUS = read_pairs()
CLOCK_MS = 1_700_000_000_000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pools() -> AsyncIterator[ObservedPools]:
    async with open_pools() as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def observed(request: pytest.FixtureRequest, pools: ObservedPools) -> ObservedPool:
    return await pools.find(request.param)


def job(source: bytes, pair: Pair, *, tenant: str) -> Job:
    return Job(tenant=tenant, source=source, seed=7, clock_ms=CLOCK_MS, limits=pair.limits)


def shown(observed: Observed) -> tuple[object, ...]:
    """Return what does not depend on the lines of the source."""
    outcome = observed.ran.outcome
    error = (outcome.error.name, outcome.error.message) if isinstance(outcome, Threw) else None
    return type(outcome), error, observed.ran.output, observed.ran.logs


def in_each_mode() -> list[ParameterSet]:
    return [
        pytest.param(mode, pair, id=f"{mode}-{pair.name}")
        for mode in MODES
        for pair in CORPUS
        # Where a cell is always kept, only what otherwise ends it is worth another look.
        if mode != KEPT or pair.cell in {"retired", "either"}
    ]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("observed", "pair"), in_each_mode(), indirect=["observed"])
async def test_the_second_execution_is_as_in_a_fresh_cell(
    observed: ObservedPool, pair: Pair
) -> None:
    attacked = observed.new_tenant()
    fresh = await observed.run(job(pair.second, pair, tenant=observed.new_tenant()), SECOND)
    first = await observed.run(job(pair.first, pair, tenant=attacked), FIRST)
    second = await observed.run(job(pair.second, pair, tenant=attacked), SECOND)

    assert isinstance(first.ran.outcome, KINDS[pair.first_kind]), first.ran.outcome
    assert isinstance(fresh.ran.outcome, KINDS[pair.second_kind]), fresh.ran.outcome
    assert (fresh.ran.output, fresh.ran.logs) == (pair.output, pair.console)
    assert second.seen == fresh.seen
    if pair.cell != "either":
        ends = {"ends"} | ({"retired"} if observed.retires else set())
        assert (second.pid != first.pid) == (pair.cell in ends)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("observed", ["isolate"], indirect=True)
@pytest.mark.parametrize("pair", [pytest.param(pair, id=pair.name) for pair in CORPUS])
async def test_one_context_for_both_would_show(observed: ObservedPool, pair: Pair) -> None:
    if pair.cell == "ends":
        pytest.skip("no second execution can follow in its cell")
    alone, without, together = [
        await observed.run(job(source, pair, tenant=observed.new_tenant()), SECOND)
        for source in (pair.second, pair.without_first, pair.in_one_context)
    ]

    assert shown(without) == shown(alone)
    assert (shown(together) != shown(alone)) == (pair.unseen is None)


def test_the_pairs_are_complete() -> None:
    families = Counter(pair.family for pair in CORPUS)
    sources = {pair.in_one_context for pair in CORPUS}

    assert len(CORPUS) == len(list(PAIRS.rglob("*.js"))) == len(sources) >= 80
    assert set(families) == {path.name for path in PAIRS.iterdir()}
    assert min(families.values()) >= 5
    assert {pair.cell for pair in CORPUS} >= {"stays", "ends", "retired"}
    assert sum(pair.unseen is not None for pair in CORPUS) < len(CORPUS) / 4
