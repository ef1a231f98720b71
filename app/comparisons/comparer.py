"""Compare results in the worker: find comparisons whose executions have ended, and finish them."""

import asyncio
import json
from functools import partial
from time import thread_time
from typing import Final

import msgspec
import structlog
from msgspec import UNSET, Raw, Struct, UnsetType

from app.background import retry_forever
from app.comparisons.changes import encode_changes
from app.comparisons.json_differences import Place, changes_between
from app.comparisons.model import (
    MAX_CHANGES,
    MAX_DIFFERENCES,
    MAX_SHOWN_BYTES,
    Change,
    PairOutcome,
)
from app.comparisons.pair_store import (
    ClaimedComparison,
    Pair,
    PairPayloads,
    claim_comparison,
    count_differences,
    delete_comparisons,
    finish_comparison,
    select_pair_payloads,
    select_pairs,
    store_changes,
    store_outcomes,
)
from app.executions.model import Status
from app.metrics import COMPARISONS
from app.resources import Resources

log = structlog.get_logger(__name__)

_POLL_SECONDS: Final = 1.0
_EXPIRY_SECONDS: Final = 600.0
_PAGE_PAIRS: Final = 50
# Renewed at every page: after a crash, another worker goes on as it expires.
_LEASE_SECONDS: Final = 120.0
_DELETED_AT_ONCE: Final = 100
# CPU time for the results of one comparison. A pair of ordinary ones takes less than a ms.
_BUDGET_SECONDS: Final = 60.0


async def run_comparer(resources: Resources) -> None:
    """Compare what is due once a second, until cancelled."""
    await retry_forever(
        "comparisons.failed", partial(compare_due, resources), pause_seconds=_POLL_SECONDS
    )


async def run_expiry(resources: Resources) -> None:
    """Delete comparisons as old as receipts may get, until cancelled."""
    days = resources.settings.keep_receipts_days

    async def expire() -> None:
        deleted = _DELETED_AT_ONCE if days else 0
        while deleted == _DELETED_AT_ONCE:
            async with resources.pool.acquire() as conn:
                deleted = await delete_comparisons(conn, days, _DELETED_AT_ONCE)

    await retry_forever("comparisons.expiry_failed", expire, pause_seconds=_EXPIRY_SECONDS)


async def compare_due(resources: Resources) -> None:
    """Finish every comparison whose executions have ended."""
    while True:
        async with resources.pool.acquire() as conn:
            claimed = await claim_comparison(conn, lease_seconds=_LEASE_SECONDS)
        if claimed is None:
            return
        await _compare(resources, claimed)


async def _compare(resources: Resources, claimed: ClaimedComparison) -> None:
    """Compare all pairs in their order, a page at a time, then finish.

    A crash loses nothing: each page's outcomes are stored. Two workers at once do work twice.
    """
    budget = _Budget(seconds=_BUDGET_SECONDS)
    while True:
        async with resources.pool.acquire() as conn:
            shown = await count_differences(conn, claimed)
            pairs = await select_pairs(
                conn, claimed, limit=_PAGE_PAIRS, lease_seconds=_LEASE_SECONDS
            )
        if not pairs:
            break
        outcomes = {}
        for pair in pairs:
            outcome, changes = await _compare_pair(resources, claimed, pair, budget)
            if changes and shown < MAX_DIFFERENCES:
                written = encode_changes(changes)
                async with resources.pool.acquire() as conn:
                    await store_changes(conn, claimed, pair.position, written)
            outcomes[pair.position] = outcome
            shown += outcome is not PairOutcome.SAME
        async with resources.pool.acquire() as conn:
            await store_outcomes(conn, claimed, outcomes)
    async with resources.pool.acquire() as conn:
        counts = await finish_comparison(conn, claimed)
    if counts is not None:
        resources.publisher.ended(claimed.id)
        COMPARISONS.labels("clean" if counts.clean else "different").inc()
        log.info("comparison.finished", id=str(claimed.id), **msgspec.structs.asdict(counts))


async def _compare_pair(
    resources: Resources, claimed: ClaimedComparison, pair: Pair, budget: "_Budget"
) -> tuple[PairOutcome, list[Change]]:
    """Return how two executions compare, and where their results differ."""
    known = _outcome_by_status(pair)
    if known is not None:
        return known, []
    async with resources.pool.acquire() as conn:
        payloads = await select_pair_payloads(conn, claimed.tenant_id, pair)
    if payloads is None:
        return PairOutcome.UNDECIDED, []
    if pair.from_status is Status.FAILED:
        same = _gist(payloads.from_error) == _gist(payloads.to_error)
        return (PairOutcome.SAME if same else PairOutcome.DIFFERING), []
    if payloads.is_erased:
        return PairOutcome.UNDECIDED, []
    if payloads.has_bytes:
        # Nothing in them has a JSON pointer.
        return PairOutcome.DIFFERING, []
    changes = await _changes(payloads, budget)
    return (PairOutcome.DIFFERING if changes else PairOutcome.SAME), changes


def _outcome_by_status(pair: Pair) -> PairOutcome | None:
    """Return how two executions compare, if that takes no more than status and hash."""
    match pair.from_status, pair.to_status:
        case (None | Status.CANCELLED, _) | (_, None | Status.CANCELLED):
            return PairOutcome.UNDECIDED
        case (Status.SUCCEEDED, Status.FAILED):
            return PairOutcome.NEWLY_FAILED
        case (Status.FAILED, Status.SUCCEEDED):
            return PairOutcome.NEWLY_FIXED
        case (Status.SUCCEEDED, Status.SUCCEEDED) if pair.from_sha256 == pair.to_sha256:
            return None if pair.has_other_type else PairOutcome.SAME
        case _:
            return None


class _Budget(Struct, kw_only=True):
    """The CPU time that is left for a comparison's results; scripts choose what these cost."""

    seconds: float


async def _changes(payloads: PairPayloads, budget: _Budget) -> list[Change]:
    before, after = payloads.from_body, payloads.to_body
    if before is None or after is None or budget.seconds <= 0:
        # Larger, or dearer, than what is compared: other bytes count as another result.
        return [
            Change(
                pointer=Raw(b'""'),
                before_bytes=UNSET if payloads.from_bytes is None else payloads.from_bytes,
                after_bytes=UNSET if payloads.to_bytes is None else payloads.to_bytes,
            )
        ]
    # In a thread: a MiB of JSON can take a second, and heartbeats go on meanwhile.
    places, seconds = await asyncio.to_thread(_timed, before, after)
    budget.seconds -= seconds
    return [_change(place) for place in places]


def _timed(before: bytes, after: bytes) -> tuple[list[Place], float]:
    began = thread_time()
    return changes_between(before, after, limit=MAX_CHANGES), thread_time() - began


def _change(place: Place) -> Change:
    before, before_bytes = _shown(place.before)
    after, after_bytes = _shown(place.after)
    return Change(
        # ASCII: names of members may hold lone surrogates.
        pointer=Raw(json.dumps(place.pointer).encode()),
        before=before,
        before_bytes=before_bytes,
        after=after,
        after_bytes=after_bytes,
    )


def _shown(value: bytes | None) -> tuple[Raw | UnsetType, int | UnsetType]:
    """Return a value as it is shown: itself, or its size if it is large."""
    if value is None:
        return UNSET, UNSET
    return (Raw(value), UNSET) if len(value) <= MAX_SHOWN_BYTES else (UNSET, len(value))


def _gist(error: bytes | None) -> tuple[object, ...]:
    """Return what makes two failures the same; their places in two sources differ."""
    document = {} if error is None else json.loads(error)
    return tuple(document.get(name) for name in ("kind", "name", "message"))
