"""Follow the batch of replays of a re-drive to its end."""

from app.redrives import execution_store, lease_store
from app.redrives.model import ClaimedRedrive, RedriveStatus
from app.redrives.trouble import CannotGoOn
from app.resources import Resources


async def follow(resources: Resources, claimed: ClaimedRedrive) -> RedriveStatus | None:
    """Take the counts of the batch; return how it has ended, None if it has not.

    Raises LeaseLost, CannotGoOn.
    """
    assert claimed.batch_id is not None  # noqa: S101 - it is of executions
    async with resources.pool.acquire() as conn, conn.transaction():
        await lease_store.lock_leased(conn, claimed)
        counts = await execution_store.select_batch_counts(
            conn, claimed.tenant_id, claimed.batch_id
        )
        if counts is None:
            raise CannotGoOn("the batch of its replays has been deleted")
        await execution_store.set_counts(conn, claimed.tenant_id, claimed.id, counts)
        if not counts.is_finished:
            return None
        await execution_store.free_executions(conn, claimed.tenant_id, claimed.id, claimed.batch_id)
    return RedriveStatus.CANCELLED if counts.is_cancelled else RedriveStatus.FINISHED
