"""HTTP routes that tell whether the system works."""

import asyncio

from litestar import Response, Router
from msgspec.structs import replace

from app.db import UNAVAILABLE
from app.http.access import NO_KEY, is_let_in, is_open
from app.http.bodies import AnyRequest
from app.http.methods import get
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

    200 when PostgreSQL answers and a worker is alive, else 503 and what is missing. `access`
    says whether requests need a key. With a valid key, or where none is needed, the answer goes
    on: `lockdown` says what holds the sandboxes, as measured inside them.
    """
    missing = []
    alive: list[Worker] = []
    try:
        async with asyncio.timeout(2), resources.pool.acquire() as conn:
            alive = await store.select_workers(conn, seen_within_seconds=SEEN_WITHIN_SECONDS)
    except UNAVAILABLE:
        missing.append("PostgreSQL does not answer")
    else:
        if not alive:
            missing.append("no worker is alive")
    answer = Ready(
        ready=not missing, missing=missing, access="open" if is_open(request) else "keys"
    )
    if await is_let_in(request):
        answer = replace(
            answer,
            v8_version=resources.sandbox.v8_version,
            lockdown=resources.sandbox.lockdown,
            workers=alive,
        )
    return Response(answer, status_code=503 if missing else 200)


router = Router(path="/health", tags=["health"], route_handlers=[live, ready])
