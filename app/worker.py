"""Run the worker process: the dispatcher, and beside it wake-ups, retention and metrics."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, Final, cast

import structlog
import uuid_utils.compat as uuid
import uvloop
from arq.connections import RedisSettings, create_pool
from arq.worker import Worker, func

from app.background import background, retry_forever
from app.batches.retention import BATCH_OWNER as BATCHES
from app.comparisons.comparer import run_comparer, run_expiry as run_comparison_expiry
from app.datasets.merging import merge_forever
from app.datasets.retention import datasets_owner
from app.dead_letters.retention import DEAD_LETTER_OWNER as DEAD_LETTERS
from app.environment import load_service_settings
from app.errors import CrivoError
from app.executions.dispatch.dispatcher import SPARE_SLOTS, Dispatcher
from app.executions.retention import PAYLOAD_OWNER as EXECUTIONS
from app.exports.advance import run_advance as run_export_advance
from app.exports.destinations import require_usable_destinations
from app.exports.engines.runner import run_exports_on
from app.exports.plan.process import run_task
from app.exports.retention import EXPORT_OWNER as EXPORTS
from app.exports.runner import run_exports
from app.exports.scripted import run_scripts
from app.idempotency.retention import run_expiry as run_key_expiry
from app.lifecycle import exit_cleanly_on_signals, open_watchdog
from app.metrics import configure_metrics
from app.payloads.model import PayloadOwner
from app.payloads.retention import run_maintenance
from app.pipes.connectors.permissions import require_usable_connectors
from app.pipes.runner import run_pipes
from app.prometheus.listener import open_listener
from app.prometheus.service import MetricsPage
from app.redrives.runner import run_expiry as run_redrive_expiry, run_redrives
from app.resources import PIPE_SLOTS, open_resources
from app.runs.advance import run_advance
from app.runs.engines.opening import open_engine, require_engine_packages
from app.runs.parts import EngineParts, LocalParts
from app.runs.retention import RUN_OWNER as RUNS
from app.sandbox.zygote_client import SandboxUnavailable
from app.settings import Settings
from app.telemetry import configure_logging, redact
from app.tracing import require_packages
from app.work_signal import (
    OUTAGE,
    REDIS_ERRORS,
    WAKE_JOB,
    WAKE_LIST,
    deserialize,
    reporting_outage,
    serialize,
)

log = structlog.get_logger(__name__)

# How long one command blocks on the list, and how often arq polls for jobs.
_POLL_SECONDS: Final = 1
_RETRY_SECONDS: Final = 1.0


def main() -> int:
    """Run the worker with the settings of the environment; return 2 when it cannot start."""
    exit_cleanly_on_signals()
    try:
        settings = load_service_settings()
        configure_logging(settings.log_level)
        configure_metrics(tenants=settings.metrics_tenants)
        require_packages(settings)
        require_engine_packages(settings)
        require_usable_connectors(settings)
        require_usable_destinations(settings)
        uvloop.run(work(settings))
    except asyncio.CancelledError:
        return 0  # stopped while it started
    except (CrivoError, SandboxUnavailable) as error:
        sys.stderr.write(redact(f"worker: {error}\n"))
        return 2
    except Exception:
        # Logged, as a traceback that Python writes would bypass `redact`.
        log.exception("worker.failed")
        return 1
    return 0


def payload_owners(settings: Settings) -> tuple[PayloadOwner, ...]:
    """Return the packages whose payloads expire and whose orphaned blobs are deleted."""
    return (EXECUTIONS, BATCHES, RUNS, EXPORTS, DEAD_LETTERS, datasets_owner(settings))


async def work(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT."""
    slots = settings.worker_slots or os.cpu_count() or 1
    loop = asyncio.get_running_loop()
    starting = asyncio.current_task()
    assert starting is not None  # noqa: S101 - this is a coroutine
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, starting.cancel)
    async with (
        open_resources(
            settings, cells=slots, spare_cells=SPARE_SLOTS + PIPE_SLOTS, service="crivo-worker"
        ) as resources,
        open_listener(settings.metrics_listen, MetricsPage(resources, process="worker")),
        open_engine(resources, worker_id := uuid.uuid7()) as engine,
    ):
        with open_watchdog(settings.hang_seconds) as watchdog:
            dispatcher = Dispatcher(
                resources,
                slots=slots,
                watchdog=watchdog,
                parts=LocalParts(resources) if engine is None else EngineParts(resources, engine),
                worker_id=worker_id,
            )
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, dispatcher.stop)
            log.info(
                "worker.started",
                id=str(dispatcher.id),
                slots=slots,
                max_memory_bytes=resources.sandbox.max_limit_bytes,
            )
            async with (
                background(receive_wake_ups(settings, dispatcher)),
                background(run_arq(settings, dispatcher)),
                # Not cron jobs of arq: they must not stop while Redis is unavailable.
                background(
                    run_maintenance(
                        resources.pool, resources.blobs, settings, payload_owners(settings)
                    )
                ),
                background(merge_forever(resources.pool, resources.blobs)),
                background(run_comparer(resources)),
                background(run_comparison_expiry(resources)),
                background(run_key_expiry(resources.pool)),
                background(run_advance(resources)),
                background(run_export_advance(resources)),
                background(run_exports(resources, worker_id, run_task)),
                background(run_exports_on(resources, worker_id, engine)),
                background(run_scripts(resources)),
                background(run_redrives(resources, worker_id)),
                background(run_redrive_expiry(resources)),
                background(run_pipes(resources, worker_id)),
            ):
                await dispatcher.run_until_stopped()
            log.info("worker.stopped", id=str(dispatcher.id))


async def receive_wake_ups(settings: Settings, dispatcher: Dispatcher) -> None:
    """Wake the dispatcher for each element that it takes from the list, until cancelled.

    Without Redis nothing is lost: the dispatcher polls PostgreSQL every second.
    """
    await retry_forever(
        "worker.wake_ups_failed",
        partial(_receive_while_connected, _redis_of(settings), dispatcher),
        pause_seconds=_RETRY_SECONDS,
    )


async def _receive_while_connected(settings: RedisSettings, dispatcher: Dispatcher) -> None:
    with reporting_outage():
        async with await create_pool(settings) as redis:
            while True:
                # A full worker leaves the wake-up for others.
                if await dispatcher.has_idle_slots(within_seconds=_POLL_SECONDS):
                    # redis-py types one signature for its blocking and its asynchronous client.
                    taken = redis.blpop([WAKE_LIST], timeout=_POLL_SECONDS)
                    if await cast("Awaitable[object]", taken):
                        dispatcher.wake_alone()
                else:
                    await redis.ping()
                OUTAGE.worked()


async def run_arq(settings: Settings, dispatcher: Dispatcher) -> None:
    """Run arq's worker, which wakes the dispatcher for each job, until cancelled.

    arq's worker ends when Redis becomes unavailable, and is started again.
    """
    await retry_forever(
        "worker.arq_failed",
        partial(_run_arq_once, _redis_of(settings), dispatcher),
        pause_seconds=_RETRY_SECONDS,
    )


async def _run_arq_once(settings: RedisSettings, dispatcher: Dispatcher) -> None:
    arq = Worker(
        functions=[func(wake, name=WAKE_JOB, keep_result=0, max_tries=1)],
        redis_settings=settings,
        ctx={"dispatcher": dispatcher},
        handle_signals=False,
        poll_delay=_POLL_SECONDS,
        job_serializer=serialize,
        job_deserializer=deserialize,
    )
    try:
        with reporting_outage():
            await arq.async_run()
    finally:
        with suppress(*REDIS_ERRORS):
            await arq.close()


async def wake(ctx: dict[str, Any]) -> None:
    """Wake the dispatcher: an execution waits in PostgreSQL."""
    ctx["dispatcher"].wake()


def _redis_of(settings: Settings) -> RedisSettings:
    # `retry_forever` retries: arq would log a line for each of its own retries.
    return replace(RedisSettings.from_dsn(settings.redis_url), conn_retries=0)


if __name__ == "__main__":
    sys.exit(main())
