"""Serve the HTTP routes of liveness and readiness."""

import asyncio
from typing import Final

from litestar import Response, Router
from msgspec import UNSET
from msgspec.structs import replace

from app.http.authorization import NO_KEY, is_authorized, is_open
from app.http.bodies import AnyRequest
from app.http.methods import get
from app.limits import WORKER_TIMEOUT_SECONDS
from app.outages import DatabaseUnavailable
from app.resources import Resources
from app.workers import reference, store
from app.workers.model import Live, Ready, Worker

_REDIS_AWAY: Final = "Redis does not answer: executions begin up to a second later"


@get("/live", operation_class=reference.LIVE, **NO_KEY)
async def live() -> Live:
    """Check whether the API process responds.

    The check does not cover what the API depends on.
    """
    return Live()


@get("/ready", operation_class=reference.READY, **NO_KEY)
async def ready(request: AnyRequest, resources: Resources) -> Response[Ready]:
    """Check whether the system can run executions.

    200 when PostgreSQL answers, large payloads can be stored and a worker can run executions;
    otherwise 503, and `missing` lists what prevents it. `degraded` lists outages that do not.
    `access` tells whether requests need a key. With a valid key, or where none is needed, the
    response also lists the workers, and in `lockdown` the confinement of each sandbox as measured
    inside it, and what isolates its executions from each other (`isolation`).
    """
    missing = []
    alive: list[Worker] = []
    try:
        async with asyncio.timeout(2), resources.pool.acquire() as conn:
            alive = await store.select_workers(conn, seen_within_seconds=WORKER_TIMEOUT_SECONDS)
    except DatabaseUnavailable as error:
        missing.append(error.detail)
    except TimeoutError:
        missing.append("PostgreSQL does not answer")
    else:
        missing += _troubles_of(alive)
    if trouble := await resources.blobs.trouble():
        missing.append(trouble)
    # Probes Redis: an outage must be noticed, and its end, even if no submission needs a wake-up.
    resources.work_signal.notify()
    degraded = [_REDIS_AWAY] if resources.work_signal.failing else []
    degraded += _troubles_of_engines(alive)
    health = Ready(
        ready=not missing,
        missing=list(dict.fromkeys(missing)),
        access="open" if is_open(request) else "keys",
        degraded=degraded or UNSET,
    )
    if await is_authorized(request):
        health = replace(
            health,
            v8_version=resources.sandbox.v8_version,
            lockdown=resources.sandbox.lockdown,
            workers=alive,
        )
    return Response(health, status_code=503 if missing else 200)


def _troubles_of(alive: list[Worker]) -> list[str]:
    """Return why no worker can run executions; empty if at least one can."""
    if not alive:
        return ["no worker is alive"]
    troubles = [worker.trouble for worker in alive if worker.trouble]
    return troubles if len(troubles) == len(alive) else []


def _troubles_of_engines(alive: list[Worker]) -> list[str]:
    troubles = {each.engine.trouble for each in alive if each.engine and each.engine.trouble}
    return [f"parts of runs have fewer slots: of the engine, {each}" for each in sorted(troubles)]


router = Router(path="/health", tags=["health"], route_handlers=[live, ready])
