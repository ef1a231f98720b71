"""The worker process: arq answers the work signal beside the dispatcher, which does the work."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final, cast

import structlog
import uvloop
from arq.connections import RedisSettings
from arq.worker import Worker, func
from redis.exceptions import RedisError
from typing_extensions import override

from app.environment import load_service_settings
from app.errors import CrivoError
from app.executions.dispatch.dispatcher import Dispatcher
from app.executions.retention import keep_retention
from app.lifecycle import exit_cleanly_when_told, open_watchdog
from app.metrics import configure_metrics
from app.prometheus.listener import open_listener
from app.prometheus.service import MetricsPage
from app.resources import open_resources
from app.sandbox.pool import SandboxUnavailable
from app.settings import Settings
from app.telemetry import configure_logging, redact
from app.tracing import require_packages
from app.work_signal import OUTAGE, WAKE_JOB, WAKE_LIST, deserialize, serialize

log = structlog.get_logger(__name__)

# How long to block on the list, and how often arq polls for jobs.
_LOOK_SECONDS: Final = 1
_LONGEST_PAUSE_SECONDS: Final = 5.0


class SignalledWorker(Worker):
    """arq's worker, which blocks on the list and polls for jobs every second.

    At arq's default a job waits 0.25 s on average; at intervals short enough to be fast, an
    idle worker uses several percent of a core. A full worker leaves the wake-up for others.
    """

    _look_from = 0.0

    @override
    async def _poll_iteration(self) -> None:
        dispatcher: Dispatcher = self.ctx["dispatcher"]
        if await dispatcher.has_room(within_seconds=_LOOK_SECONDS):
            # redis-py types one signature for its blocking and its asynchronous client.
            taken = self.pool.blpop([WAKE_LIST], timeout=_LOOK_SECONDS)
            if await cast("Awaitable[object]", taken):
                dispatcher.pass_on_or_wake()
        now = asyncio.get_running_loop().time()
        if now >= self._look_from:
            self._look_from = now + _LOOK_SECONDS
            await super()._poll_iteration()
        OUTAGE.worked()


async def wake(ctx: dict[str, Any]) -> None:
    """Wake the dispatcher: something waits in PostgreSQL."""
    ctx["dispatcher"].wake()


async def work(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT."""
    slots = settings.worker_slots or os.cpu_count() or 1
    loop = asyncio.get_running_loop()
    starting = asyncio.current_task()
    assert starting is not None  # noqa: S101 - this is a coroutine
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, starting.cancel)
    async with (
        open_resources(settings, cells=slots, service="crivo-worker") as resources,
        open_listener(settings.metrics_listen, MetricsPage(resources, process="worker")),
    ):
        with open_watchdog(settings.hang_seconds) as watchdog:
            dispatcher = Dispatcher(resources, slots=slots, watchdog=watchdog)
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, dispatcher.stop)
            log.info(
                "worker.started",
                id=str(dispatcher.id),
                slots=slots,
                max_memory_bytes=resources.sandbox.max_limit_bytes,
            )
            beside = [
                asyncio.create_task(answer_work_signal(settings, dispatcher)),
                asyncio.create_task(keep_retention(resources)),
            ]
            try:
                await dispatcher.run_until_stopped()
            finally:
                for task in beside:
                    task.cancel()
                await asyncio.gather(*beside, return_exceptions=True)
            log.info("worker.stopped", id=str(dispatcher.id))


async def answer_work_signal(settings: Settings, dispatcher: Dispatcher) -> None:
    """Run arq's worker for ever; it ends when Redis dies, and is started again with backoff.

    Without it nothing is lost: the dispatcher looks for work by itself every second.
    """
    pause_seconds = 0.1
    # Not arq: it would log a line for each of its own tries.
    redis = replace(RedisSettings.from_dsn(settings.redis_url), conn_retries=0)
    while True:
        arq = SignalledWorker(
            functions=[func(wake, name=WAKE_JOB, keep_result=0, max_tries=1)],
            redis_settings=redis,
            ctx={"dispatcher": dispatcher},
            handle_signals=False,
            poll_delay=0,
            job_serializer=serialize,
            job_deserializer=deserialize,
        )
        started = asyncio.get_running_loop().time()
        try:
            await arq.async_run()
        except Exception as error:  # noqa: BLE001 - whatever it is, the work goes on without
            OUTAGE.failed(str(error) or type(error).__name__)
        finally:
            with suppress(RedisError, OSError, AttributeError):
                await arq.close()
        lasted_seconds = asyncio.get_running_loop().time() - started
        pause_seconds = 0.1 if lasted_seconds > _LONGEST_PAUSE_SECONDS else pause_seconds * 2
        await asyncio.sleep(min(pause_seconds, _LONGEST_PAUSE_SECONDS))


def main() -> int:
    """Run the worker from the environment's settings; 2 when it cannot start."""
    exit_cleanly_when_told()
    try:
        settings = load_service_settings()
        configure_logging(settings.log_level)
        configure_metrics(tenants=settings.metrics_tenants)
        require_packages(settings)
        uvloop.run(work(settings))
    except asyncio.CancelledError:
        return 0  # told to stop while it started
    except (CrivoError, SandboxUnavailable) as error:
        sys.stderr.write(redact(f"worker: {error}\n"))
        return 2
    except Exception:
        # As a line like any other: a traceback of Python's own would pass by `redact`.
        log.exception("worker.failed")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
