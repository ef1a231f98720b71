"""The API: routes, error handlers and the lifespan of what they stand on."""

import logging
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import UUID

import structlog
import uvicorn
from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import HTTPException

from app.docs.api import openapi_config, router as reference
from app.errors import CrivoError, Problem
from app.executions.api import router as executions
from app.http.guard import is_loopback, loopback_only
from app.http.negotiation import negotiate
from app.http.problems import (
    render_http_exception,
    render_problem,
    render_unexpected,
)
from app.resources import Resources, open_resources
from app.sandbox.pool import PoolConfig, SandboxUnavailable
from app.scripts.api import router as scripts
from app.scripts.uploads import MAX_UPLOAD_BYTES
from app.settings import Settings, load_service_settings
from app.telemetry import configure_logging
from app.tenants.model import DEFAULT_TENANT
from app.workers.api import router as health

log = structlog.get_logger(__name__)

# Upload checks share one cell; who comes after this many waiting ones gets 503.
_CHECKS_WAITING = 16


def create_app(settings: Settings) -> Litestar:
    """Build the application; its resources are opened by its lifespan."""

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async with _opened(settings) as resources:
            app.state.resources = resources
            yield

    return Litestar(
        route_handlers=[scripts, executions, health, reference],
        dependencies={
            "resources": Provide(_resources, sync_to_thread=False),
            "tenant": Provide(_tenant, sync_to_thread=False),
        },
        exception_handlers={
            Problem: render_problem,
            HTTPException: render_http_exception,
            Exception: render_unexpected,
        },
        middleware=[loopback_only],
        before_request=negotiate,
        lifespan=[lifespan],
        # app.telemetry has configured the logs.
        logging_config=None,
        openapi_config=openapi_config(),
        request_max_body_size=MAX_UPLOAD_BYTES,
    )


def main() -> int:
    """Serve the API from the environment's settings; 2 when it cannot start."""
    try:
        settings = load_service_settings()
    except CrivoError as error:
        sys.stderr.write(f"api: {error}\n")
        return 2
    exposed = not is_loopback(settings.host)
    if exposed and not settings.insecure_listen:
        sys.stderr.write(f"api: CRIVO_HOST={settings.host}: loopback only until there are keys\n")
        return 2
    configure_logging(settings.log_level)
    if exposed:
        log.warning(
            "api.listens_beyond_loopback_without_keys",
            host=settings.host,
            allowed_by="CRIVO_INSECURE_LISTEN",
            still_refused="a Host that is not loopback, an Origin of another site",
        )
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(settings),
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=5,
        )
    )
    try:
        server.run()
    except SystemExit:  # uvicorn's own way to say, with 3, that it could not start
        return 2
    return 0 if server.started else 2


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Resources]:
    """Open what the API stands on; without a sandbox one line says why."""
    cells = PoolConfig(cells=1, warm=1, max_waiting=_CHECKS_WAITING)
    async with AsyncExitStack() as stack:
        try:
            resources = await stack.enter_async_context(open_resources(settings, cells=cells))
        except SandboxUnavailable as error:
            sys.stderr.write(f"api: {error}\n")
            # It would say the same again, with a traceback.
            logging.getLogger("uvicorn.error").disabled = True
            raise
        yield resources


def _resources(state: State) -> Resources:
    resources: Resources = state.resources
    return resources


def _tenant() -> UUID:
    # Until there are API keys, everything is the default tenant's.
    return DEFAULT_TENANT


if __name__ == "__main__":
    sys.exit(main())
