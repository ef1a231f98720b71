"""Run the API process: its routes, its error handlers and the lifespan of its resources."""

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
from litestar.handlers import BaseRouteHandler
from typing_extensions import override

from app.audit.api import router as audit
from app.auth.callers import Caller
from app.auth.errors import AuthError
from app.auth.open_mode import is_loopback, is_open_without_keys
from app.background import background
from app.batches.api import router as batches
from app.batches.staging import MAX_UPLOADS_OF_TENANT
from app.batches.store import select_states as select_batch_states
from app.blobs import BlobLost
from app.callbacks.api import router as callbacks
from app.callbacks.delivery.deliverer import open_deliverer, require_usable_egress
from app.comparisons.api import router as comparisons
from app.comparisons.store import select_states as select_comparison_states
from app.datasets.api import router as datasets
from app.datasets.catalog import Catalogs
from app.datasets.parts import ObjectCache
from app.dead_letters.api import router as dead_letters
from app.docs.api import openapi_config, router as reference
from app.environment import load_service_settings
from app.errors import CrivoError, Problem
from app.executions.api import router as executions
from app.executions.queue_limit import QueueLimit
from app.executions.store import select_states as select_execution_states
from app.executions.waiting.outcomes import decode_outcome
from app.exports.api import router as exports
from app.exports.destinations import require_usable_destinations
from app.exports.store import select_states as select_export_states
from app.fair_queue import FairQueue
from app.http.asgi import App
from app.http.authorization import authorize, caller_of, require_declared_needs
from app.http.challenges import render_auth_error
from app.http.loopback import loopback_only
from app.http.metrics_middleware import with_metrics
from app.http.middleware import origins_in, with_standard_headers
from app.http.negotiation import negotiate
from app.http.problems import (
    render_http_exception,
    render_lost_blob,
    render_problem,
    render_unexpected,
)
from app.http.proxies import Network, behind_proxies, trusted_networks
from app.http.quota_problems import render_quota_error
from app.http.reauthorization import reauthorized
from app.http.request_id import AnyConnection
from app.http.slow_clients import slow_client_protocol
from app.http.undeclared import refuse_undeclared
from app.keys.api import router as keys
from app.keys.bootstrap import prepare
from app.keys.key_cache import KeyCache, open_key_cache
from app.lifecycle import Watchdog, exit_cleanly_on_signals, open_watchdog
from app.limits import MAX_DOWNLOADS, MAX_PARTS_AT_ONCE, MAX_RECORD_STREAMS, MAX_UPLOAD_BYTES
from app.metrics import configure_metrics
from app.pipes.api import router as pipes
from app.pipes.connectors.permissions import require_usable_connectors
from app.progress.waiters import WaiterRegistry, open_waiter_registry
from app.prometheus.api import router as metrics
from app.prometheus.listener import open_listener
from app.prometheus.service import MetricsPage
from app.quotas.errors import QuotaError
from app.quotas.in_flight import InFlightLimiter
from app.quotas.rates import open_rate_limiter
from app.quotas.turns import TenantTurns
from app.redrives.api import router as redrives
from app.redrives.store import select_states as select_redrive_states
from app.replays.api import router as replays
from app.resources import Resources, open_resources
from app.runs.api import router as runs
from app.runs.store import select_states as select_run_states
from app.sandbox.zygote_client import SandboxUnavailable
from app.schemas.api import router as schemas
from app.scripts.api import router as scripts
from app.settings import Settings
from app.telemetry import configure_logging, redact
from app.tenants.api import router as tenants
from app.tracing import require_packages
from app.workers.api import router as health

log = structlog.get_logger(__name__)

# How often the event loop reports to the watchdog.
_BEAT_SECONDS = 0.25


def create_app(settings: Settings) -> Litestar:
    """Build the application; its lifespan opens what it needs."""

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async with (
            _open_resources(settings) as resources,
            open_key_cache(
                resources.pool,
                open_without_keys=is_open_without_keys(settings),
                open_always=settings.auth == "open",
            ) as key_cache,
            open_rate_limiter(
                resources.pool, default_limit=settings.default_max_requests_per_second or None
            ) as rate_limiter,
            open_waiter_registry(settings, resources.notifier, decode_outcome) as waiters,
            open_deliverer(resources.pool, settings),
            open_listener(
                settings.metrics_listen,
                metrics_page := MetricsPage(resources, process="api", readers=waiters),
            ),
        ):
            app.state.resources = resources
            app.state.metrics_page = metrics_page
            app.state.authenticator = key_cache
            app.state.rate_limiter = rate_limiter
            app.state.in_flight = InFlightLimiter(
                max_per_tenant=settings.max_requests_of_tenant
                or max(1, settings.max_connections // 2)
            )
            app.state.decompression = FairQueue()
            app.state.waiters = waiters
            app.state.catalogs = Catalogs(
                resources.pool,
                ObjectCache(resources.blobs, max_bytes=settings.records_cache_bytes),
            )
            waiters.watch(select_execution_states)
            waiters.watch(select_batch_states)
            waiters.watch(select_comparison_states)
            waiters.watch(select_run_states)
            waiters.watch(select_redrive_states)
            waiters.watch(select_export_states)
            app.state.queue_limit = QueueLimit(limit=settings.max_queued)
            app.state.uploads = InFlightLimiter(max_per_tenant=MAX_UPLOADS_OF_TENANT)
            app.state.part_turns = TenantTurns(max_per_tenant=MAX_PARTS_AT_ONCE)
            app.state.download_turns = TenantTurns(max_per_tenant=MAX_DOWNLOADS)
            app.state.record_turns = TenantTurns(max_per_tenant=MAX_RECORD_STREAMS)
            _log_access(settings, key_cache)
            with open_watchdog(settings.hang_seconds) as watchdog:
                async with background(_beat(watchdog)):
                    # Objects that live as long as the process are left out of collections,
                    # each of which holds up the event loop.
                    gc.collect()
                    gc.freeze()
                    yield

    app = Litestar(
        route_handlers=[
            scripts,
            schemas,
            executions,
            datasets,
            pipes,
            replays,
            comparisons,
            batches,
            runs,
            exports,
            dead_letters,
            redrives,
            callbacks,
            tenants,
            keys,
            audit,
            health,
            metrics,
            reference,
        ],
        dependencies={
            "resources": _state_member("resources"),
            "metrics_page": _state_member("metrics_page"),
            "waiters": _state_member("waiters"),
            "catalogs": _state_member("catalogs"),
            "tenant": Provide(_tenant, sync_to_thread=False),
            "caller": Provide(_caller, sync_to_thread=False),
        },
        exception_handlers={
            AuthError: render_auth_error,
            QuotaError: render_quota_error,
            Problem: render_problem,
            HTTPException: render_http_exception,
            BlobLost: render_lost_blob,
            Exception: render_unexpected,
        },
        middleware=[loopback_only, reauthorized],
        guards=[_admit],
        before_request=negotiate,
        lifespan=[lifespan],
        # `configure_logging` has done it.
        logging_config=None,
        openapi_config=openapi_config(),
        request_max_body_size=MAX_UPLOAD_BYTES,
    )
    require_declared_needs(app)
    return app


def main(arguments: list[str]) -> int:
    """Serve the API with the settings of the environment; return 2 when it cannot start.

    With `--check`, only check that it could.
    """
    exit_cleanly_on_signals()
    try:
        settings = load_service_settings()
        configure_logging(settings.log_level)
        configure_metrics(tenants=settings.metrics_tenants)
        require_packages(settings)
        trusted = trusted_networks(settings.trusted_proxies)
        require_usable_egress(settings)
        require_usable_connectors(settings)
        require_usable_destinations(settings)
        asyncio.run(prepare(settings))
    except CrivoError as error:
        sys.stderr.write(redact(f"api: {error}\n"))
        return 2
    if arguments == ["--check"]:
        return 0
    server = _build_server(create_app(settings), settings, trusted)
    try:
        server.run()
    except SystemExit as end:  # with 3, uvicorn reports that it could not start
        return 2 if end.code else 0
    return 0 if server.started else 2


async def _admit(connection: AnyConnection, handler: BaseRouteHandler) -> None:
    # One guard: Litestar copies the whole handler for each.
    await authorize(connection, handler)
    await refuse_undeclared(connection, handler)


def _build_server(app: Litestar, settings: Settings, trusted: tuple[Network, ...]) -> "_Server":
    middleware = with_standard_headers(
        cast("App", app), cors_origins=origins_in(settings.cors_origins)
    )
    config = uvicorn.Config(
        behind_proxies(with_metrics(middleware, access_log=settings.access_log), trusted),
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        loop="uvloop",
        server_header=False,
        # uvicorn would trust every client on this machine; `behind_proxies` does it by setting.
        proxy_headers=False,
        timeout_graceful_shutdown=5,
        # No route is a WebSocket; uvicorn would accept them where a library for them is installed.
        ws="none",
        http=slow_client_protocol(
            client_seconds=settings.client_seconds, max_connections=settings.max_connections
        ),
    )
    return _Server(app, config)


class _Server(uvicorn.Server):
    """uvicorn's server, which answers waiting requests before it waits for requests to end."""

    def __init__(self, app: Litestar, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._app = app

    @override
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        waiters: WaiterRegistry | None = self._app.state.get("waiters")
        if waiters is not None:
            waiters.close()
        await super().shutdown(sockets)


@asynccontextmanager
async def _open_resources(settings: Settings) -> AsyncIterator[Resources]:
    """Open the API's resources; where that fails, write one line that says why."""
    async with AsyncExitStack() as stack:
        try:
            resources = await stack.enter_async_context(
                open_resources(settings, cells=1, service="crivo-api")
            )
        except (CrivoError, SandboxUnavailable) as error:
            sys.stderr.write(redact(f"api: {error}\n"))
            # uvicorn would log the same error again, with a traceback.
            logging.getLogger("uvicorn.error").disabled = True
            raise
        yield resources


async def _beat(watchdog: Watchdog) -> None:
    while True:
        watchdog.beat("event loop")
        await asyncio.sleep(_BEAT_SECONDS)


def _log_access(settings: Settings, key_cache: KeyCache) -> None:
    """Log whether requests need a key; warn where an open API is reachable from elsewhere."""
    if not key_cache.open:
        log.info("api.needs_keys", auth=settings.auth)
        return
    address = settings.bind or settings.host
    if is_loopback(address):
        log.info("api.is_open", tenant="default", auth=settings.auth, host=address)
    else:
        log.warning(
            "api.listens_beyond_loopback_without_keys",
            host=address,
            allowed_by="CRIVO_INSECURE_LISTEN",
            open_to="everybody who reaches the port",
        )


def _state_member(name: str) -> Provide:
    """Inject a member of the application's state into handlers, as the parameter of its name."""

    def member(state: State) -> Any:  # noqa: ANN401 - handlers declare its type
        return state[name]

    return Provide(member, sync_to_thread=False)


def _caller(request: Request[Any, Any, Any]) -> Caller:
    return caller_of(request)


def _tenant(request: Request[Any, Any, Any]) -> UUID:
    return caller_of(request).tenant


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
