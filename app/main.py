"""The API: routes, error handlers and the lifespan of what they stand on."""

import asyncio
import gc
import logging
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, cast
from uuid import UUID

import structlog
import uvicorn
from litestar import Litestar, Request
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import HTTPException
from typing_extensions import override

from app.audit.api import router as audit
from app.docs.api import openapi_config, router as reference
from app.environment import load_service_settings
from app.errors import CrivoError, Problem
from app.executions.api import router as executions
from app.executions.queue_limit import QueueLimit
from app.executions.waiting.waiters import WaiterRegistry, open_waiter_registry
from app.fair_queue import FairQueue
from app.http.access import Caller, caller_of, guard, require_needs
from app.http.in_flight import InFlight
from app.http.loopback import is_loopback, loopback_only
from app.http.metrics_middleware import counted
from app.http.middleware import MAX_HEADERS_BYTES, MAX_TARGET_BYTES, App, enveloped, origins_in
from app.http.negotiation import negotiate
from app.http.problems import (
    render_http_exception,
    render_problem,
    render_unexpected,
)
from app.http.proxies import behind_proxies, trusted_networks
from app.http.rates import open_rates
from app.http.reauthorization import reauthorized
from app.http.slow_clients import slow_client_protocol
from app.http.undeclared import refuse_undeclared
from app.keys.api import router as keys
from app.keys.bootstrap import open_without_keys, prepare
from app.keys.key_cache import KeyCache, open_key_cache
from app.lifecycle import Watchdog, exit_cleanly_when_told, open_watchdog
from app.metrics import configure_metrics
from app.prometheus.api import router as metrics
from app.prometheus.listener import open_listener
from app.prometheus.service import MetricsPage
from app.resources import Resources, open_resources
from app.sandbox.pool import SandboxUnavailable
from app.scripts.api import router as scripts
from app.scripts.uploads import MAX_UPLOAD_BYTES
from app.settings import Settings
from app.telemetry import configure_logging, redact
from app.tenants.api import router as tenants
from app.tracing import require_packages
from app.workers.api import router as health

log = structlog.get_logger(__name__)

# How often the event loop shows that it turns.
_BEAT_SECONDS = 0.25


def create_app(settings: Settings) -> Litestar:
    """Build the application; its resources are opened by its lifespan."""

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async with (
            _opened(settings) as resources,
            open_key_cache(
                resources.pool,
                open_without_keys=open_without_keys(settings),
                open_always=settings.auth == "open",
            ) as key_cache,
            open_rates(
                resources.pool, default_rate=settings.default_max_requests_per_second or None
            ) as rates,
            open_waiter_registry(settings) as waits,
            open_listener(
                settings.metrics_listen,
                metrics_page := MetricsPage(resources, process="api", readers=waits),
            ),
        ):
            app.state.resources = resources
            app.state.metrics_page = metrics_page
            app.state.authenticator = key_cache
            app.state.rates = rates
            app.state.in_flight = InFlight(
                most_of_tenant=settings.max_requests_of_tenant
                or max(1, settings.max_connections // 2)
            )
            app.state.decompression = FairQueue()
            app.state.waits = waits
            app.state.backlog = QueueLimit(most=settings.max_queued)
            _tell_access(settings, key_cache)
            with open_watchdog(settings.hang_seconds) as watchdog:
                beats = asyncio.create_task(_beat(watchdog))
                # What lives as long as the process need not be looked at in each collection,
                # which holds the event loop meanwhile.
                gc.collect()
                gc.freeze()
                yield
                beats.cancel()

    app = Litestar(
        route_handlers=[scripts, executions, tenants, keys, audit, health, metrics, reference],
        dependencies={
            "resources": Provide(_resources, sync_to_thread=False),
            "metrics_page": Provide(_scraped, sync_to_thread=False),
            "waits": Provide(_waits, sync_to_thread=False),
            "backlog": Provide(_backlog, sync_to_thread=False),
            "tenant": Provide(_tenant, sync_to_thread=False),
            "who": Provide(_who, sync_to_thread=False),
        },
        exception_handlers={
            Problem: render_problem,
            HTTPException: render_http_exception,
            Exception: render_unexpected,
        },
        middleware=[loopback_only, reauthorized],
        guards=[guard, refuse_undeclared],
        before_request=negotiate,
        lifespan=[lifespan],
        # app.telemetry has configured the logs.
        logging_config=None,
        openapi_config=openapi_config(),
        request_max_body_size=MAX_UPLOAD_BYTES,
    )
    require_needs(app)
    return app


def main(arguments: list[str]) -> int:
    """Serve the API from the environment's settings; 2 when it cannot start.

    With `--check`, only say whether it could.
    """
    exit_cleanly_when_told()
    try:
        settings = load_service_settings()
        configure_logging(settings.log_level)
        configure_metrics(tenants=settings.metrics_tenants)
        require_packages(settings)
        trusted = trusted_networks(settings.trusted_proxies)
        asyncio.run(prepare(settings))
    except CrivoError as error:
        sys.stderr.write(redact(f"api: {error}\n"))
        return 2
    if arguments == ["--check"]:
        return 0
    app = create_app(settings)
    server = _Server(
        app,
        uvicorn.Config(
            behind_proxies(
                counted(
                    enveloped(cast("App", app), cors_origins=origins_in(settings.cors_origins)),
                    access_log=settings.access_log,
                ),
                trusted,
            ),
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            loop="uvloop",
            server_header=False,
            # It would believe whoever connects from this machine.
            proxy_headers=False,
            timeout_graceful_shutdown=5,
            # No WebSockets here; uvicorn would take them where a library for them is there.
            ws="none",
            http=slow_client_protocol(
                client_seconds=settings.client_seconds, max_connections=settings.max_connections
            ),
            # Of what has come of a head so far; of whole ones the envelope knows the limits.
            h11_max_incomplete_event_size=MAX_TARGET_BYTES + MAX_HEADERS_BYTES,
        ),
    )
    try:
        server.run()
    except SystemExit as end:  # uvicorn's own way to say, with 3, that it could not start
        return 2 if end.code else 0
    return 0 if server.started else 2


class _Server(uvicorn.Server):
    """uvicorn's server; before it waits for requests to end, those that wait are answered."""

    def __init__(self, app: Litestar, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._app = app

    @override
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        waits: WaiterRegistry | None = self._app.state.get("waits")
        if waits is not None:
            waits.close()
        await super().shutdown(sockets)


async def _beat(watchdog: Watchdog) -> None:
    while True:
        watchdog.beat("event loop")
        await asyncio.sleep(_BEAT_SECONDS)


def _tell_access(settings: Settings, key_cache: KeyCache) -> None:
    if not key_cache.open:
        log.info("api.needs_keys", auth=settings.auth)
        return
    where = settings.bind or settings.host
    if is_loopback(where):
        log.info("api.is_open", tenant="default", auth=settings.auth, host=where)
    else:
        log.warning(
            "api.listens_beyond_loopback_without_keys",
            host=where,
            allowed_by="CRIVO_INSECURE_LISTEN",
            open_to="everybody who reaches the port",
        )


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Resources]:
    """Open what the API stands on; where that fails one line says why."""
    async with AsyncExitStack() as stack:
        try:
            resources = await stack.enter_async_context(
                open_resources(settings, cells=1, service="crivo-api")
            )
        except (CrivoError, SandboxUnavailable) as error:
            sys.stderr.write(redact(f"api: {error}\n"))
            # It would say the same again, with a traceback.
            logging.getLogger("uvicorn.error").disabled = True
            raise
        yield resources


def _resources(state: State) -> Resources:
    resources: Resources = state.resources
    return resources


def _scraped(state: State) -> MetricsPage:
    metrics_page: MetricsPage = state.metrics_page
    return metrics_page


def _backlog(state: State) -> QueueLimit:
    backlog: QueueLimit = state.backlog
    return backlog


def _waits(state: State) -> WaiterRegistry:
    waits: WaiterRegistry = state.waits
    return waits


def _who(request: Request[Any, Any, Any]) -> Caller:
    return caller_of(request)


def _tenant(request: Request[Any, Any, Any]) -> UUID:
    return caller_of(request).tenant


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
