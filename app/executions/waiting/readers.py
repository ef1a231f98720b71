"""Read executions for their clients: those that are asked for together, in one statement."""

from collections.abc import Sequence
from uuid import UUID

from app.executions import store
from app.executions.model import Execution
from app.lanes import ALONE, MAX_SHARED_BYTES, Alone
from app.resources import Resources


async def read_execution(
    resources: Resources, tenant: UUID, execution_id: UUID, *, with_result: bool
) -> Execution | None:
    """Read an execution, together with others that the tenant's clients ask for meanwhile.

    Readers that one notice wakes ask within one turn of the event loop; those that ask while a
    statement is under way wait for its end. Raises DatabaseUnavailable.
    """

    async def one(wanted: UUID) -> Execution | None:
        async with resources.pool.acquire() as conn:
            return await store.select_execution(conn, tenant, wanted, with_result=with_result)

    async def many(wanted: Sequence[UUID]) -> Sequence[Execution | Alone]:
        async with resources.pool.acquire() as conn:
            found = await store.select_executions(
                conn, tenant, wanted, with_result=with_result, max_bytes=MAX_SHARED_BYTES
            )
        return [ALONE if each is None else each for each in found]

    return await resources.lanes.submit(
        ("reads", (tenant, with_result)), execution_id, one=one, many=many, gather=True
    )
