"""HTTP route of replays."""

from functools import partial
from typing import Final

from litestar import Response, post

from app.auth.callers import Caller
from app.auth.model import Scope
from app.executions import reference, replays
from app.executions.model import Execution, Queued, ReplayRequest
from app.executions.queue_limit import QueueLimit
from app.executions.refs import parse_execution_id
from app.executions.responses import accept_and_respond
from app.http.authorization import needs
from app.http.bodies import AnyRequest, announced_bytes, read_json
from app.http.idempotency import idempotency_key_of
from app.limits import MAX_SMALL_BODY_BYTES
from app.progress.responses import seconds_to_wait
from app.progress.waiters import WaiterRegistry
from app.resources import Resources
from app.scripts.refs import parse_ref


@post(
    "/executions/{execution:str}/replay",
    operation_class=reference.REPLAY_EXECUTION,
    status_code=202,
    **needs(Scope.WRITE_EXECUTIONS),
)
async def replay_execution(
    execution: str,
    request: AnyRequest,
    resources: Resources,
    waiters: WaiterRegistry,
    caller: Caller,
) -> Response[Queued | Execution]:
    """Replay an execution.

    Runs a finished execution again as a new one: the same input, params, labels, limits, seed and
    clock, with the same version or, with `{"script": "cards@4"}`, another. The new execution has
    `replay_of`, and at its end `replay`, which says whether the outcome is identical. Without a
    body, the version is the same. The data must not have been erased; while a replay exists,
    erasing the original leaves the replay's own copy.
    """
    seconds, key = seconds_to_wait(request, caller), idempotency_key_of(request)
    queue_limit: QueueLimit = request.app.state.queue_limit
    await queue_limit.require_room_or_known(resources.pool, caller.tenant, key)
    wanted = ReplayRequest()
    if announced_bytes(request) or "transfer-encoding" in request.headers:
        wanted = await read_json(request, ReplayRequest, max_bytes=MAX_SMALL_BODY_BYTES)
    ref = None if wanted.script is None else parse_ref(wanted.script)
    accepting = partial(replays.replay, resources, caller, parse_execution_id(execution), ref, key)
    return await accept_and_respond(request, resources, waiters, accepting, seconds=seconds)


routes: Final = (replay_execution,)
