"""HTTP routes that tell whether the system works."""

import asyncio

from litestar import Response, Router
from msgspec import UNSET
from msgspec.structs import replace

from app.http.access import NO_KEY, is_let_in, is_open
from app.http.bodies import AnyRequest
from app.http.methods import get
from app.outages import DatabaseUnavailable
from app.resources import Resources
from app.workers import reference, store
from app.workers.model import SEEN_WITHIN_SECONDS, Live, Ready, Worker


@get("/live", operation_class=reference.LIVE, **NO_KEY)
async def live() -> Live:
    """Ask whether the API lives.

    It says nothing of what the API stands on.
    """
    return Live()


@get("/ready", operation_class=reference.READY, **NO_KEY)
async def ready(request: AnyRequest, resources: Resources) -> Response[Ready]:
    """Ask whether the system works.

    200 when PostgreSQL answers, large payloads can be stored and a worker can run executions,
    else 503 and what is missing. `degraded` names what is missed without being needed. `access`
    says whether requests need a key. With a valid key, or where none is needed, the answer goes
    on: `lockdown` says what holds the sandboxes, as measured inside them.
    """
    missing = []
    alive: list[Worker] = []
    try:
        async with asyncio.timeout(2), resources.pool.acquire() as conn:
            alive = await store.select_workers(conn, seen_within_seconds=SEEN_WITHIN_SECONDS)
    except DatabaseUnavailable as error:
        missing.append(error.detail)
    except TimeoutError:
        missing.append("PostgreSQL does not answer")
    else:
        missing += _trouble_of(alive)
    if trouble := await resources.blobs.trouble():
        missing.append(trouble)
    if resources.work_signal.failing:
        # So that its end is noticed, also where nothing is submitted.
        resources.work_signal.notify()
    degraded = ["Redis does not answer: executions begin up to a second later"]
    answer = Ready(
        ready=not missing,
        missing=list(dict.fromkeys(missing)),
        access="open" if is_open(request) else "keys",
        degraded=degraded if resources.work_signal.failing else UNSET,
    )
    if await is_let_in(request):
        answer = replace(
            answer,
            v8_version=resources.sandbox.v8_version,
            lockdown=resources.sandbox.lockdown,
            workers=alive,
        )
    return Response(answer, status_code=503 if missing else 200)


def _trouble_of(alive: list[Worker]) -> list[str]:
    """Say why no worker can run anything; one that can is enough."""
    if not alive:
        return ["no worker is alive"]
    troubles = [worker.trouble for worker in alive if worker.trouble]
    return troubles if len(troubles) == len(alive) else []


router = Router(path="/health", tags=["health"], route_handlers=[live, ready])
