"""Deliver callbacks in the background of an API process, together with the other processes."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, assert_never
from uuid import UUID

import msgspec
import structlog
import uuid_utils.compat as uuid
from msgspec import Struct

from app.background import background, retry_forever
from app.callbacks import service, store
from app.callbacks.delivery.claims import ClaimedCallback, claim, record, release
from app.callbacks.delivery.inward_log import InwardLog
from app.callbacks.delivery.schedule import MAX_UNRECORDED, next_delay_seconds
from app.callbacks.delivery.signatures import signed_headers
from app.callbacks.model import CallbackStatus
from app.callbacks.subjects import SUBJECTS
from app.db import Pool
from app.egress.client import (
    Answer,
    EgressClient,
    open_egress_client,
    proxies_in_environment,
)
from app.egress.errors import InwardTarget, NoAnswer
from app.egress.policy import callback_policy
from app.egress.targets import UnusableTarget, parse_target
from app.metrics import CALLBACK_ATTEMPTS
from app.outages import DatabaseUnavailable
from app.settings import Settings

log = structlog.get_logger(__name__)

# How long a new callback may wait to be found, on average half of it.
POLL_SECONDS: Final = 1.0
# The shortest time between two claims, and the longest after failures in a row.
_PAUSE_SECONDS: Final = 0.05
_MAX_PAUSE_SECONDS: Final = 5.0
# Requests of clients share the pool: few of its connections are for callbacks.
_DATABASE_CONNECTIONS: Final = 2
_GONE: Final = 410
_MAX_REASON: Final = 200


class _Outcome(StrEnum):
    """The label of an attempt's metric."""

    DELIVERED = "delivered"
    REFUSED = "refused"
    GONE = "gone"
    NO_ANSWER = "no_answer"
    NOT_PUBLIC = "not_public"


class _Attempted(Struct, frozen=True, kw_only=True):
    outcome: _Outcome
    answer: Answer | None = None
    is_last: bool = False


class Deliverer:
    """Sends the callbacks that are due, at most `callback_slots` at once."""

    def __init__(self, pool: Pool, settings: Settings, client: EgressClient) -> None:
        """Take the pool, the settings, and the client that checks what requests reach."""
        self._pool = pool
        self._client = client
        self._policy = callback_policy(settings)
        self._slots = settings.callback_slots
        self._sending: dict[asyncio.Task[None], ClaimedCallback] = {}
        self._tenants: Counter[UUID] = Counter()
        self._hosts: Counter[str] = Counter()
        self._database = asyncio.Semaphore(_DATABASE_CONNECTIONS)
        self._freed = asyncio.Event()
        self._inward = InwardLog()

    async def deliver_forever(self) -> None:
        """Deliver until cancelled; then leave what is under way to others."""
        try:
            await retry_forever(
                "callbacks.claim_failed",
                self.deliver_due,
                pause_seconds=_PAUSE_SECONDS,
                max_pause_seconds=_MAX_PAUSE_SECONDS,
            )
        finally:
            await self._stop()

    async def deliver_due(self) -> None:
        """Begin to send what is due, or wait until that makes sense. Raises DatabaseUnavailable."""
        self._freed.clear()
        claimed = await self._claim()
        for each in claimed:
            self._start(each)
        if not claimed:
            seconds = POLL_SECONDS * random.uniform(0.8, 1.2)  # noqa: S311 - no secret
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._freed.wait()

    async def _claim(self) -> list[ClaimedCallback]:
        room = self._slots - len(self._sending)
        if room <= 0:
            return []
        async with self._database, self._pool.acquire() as conn:
            return await claim(
                conn,
                room=room,
                reserved=self._slots // 4,
                most_of_tenant=max(1, self._slots // 2),
                most_of_host=max(1, self._slots // 4),
                tenants=self._tenants,
                hosts=self._hosts,
            )

    def _start(self, claimed: ClaimedCallback) -> None:
        self._tenants[claimed.tenant_id] += 1
        self._hosts[claimed.host] += 1
        task = asyncio.create_task(self._deliver(claimed))
        self._sending[task] = claimed
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        claimed = self._sending.pop(task)
        # Without counts of 0, which the next claim would send.
        self._tenants -= Counter({claimed.tenant_id: 1})
        self._hosts -= Counter({claimed.host: 1})
        self._freed.set()

    async def _deliver(self, claimed: ClaimedCallback) -> None:
        """Make an attempt and record it; without a record, it is due again after its lease."""
        started_at = datetime.now(UTC)
        try:
            attempted = await self._attempt(claimed, started_at)
            if attempted is not None:
                CALLBACK_ATTEMPTS.labels(attempted.outcome).inc()
                await self._record(claimed, started_at, attempted)
        except DatabaseUnavailable:
            # Logged where the outage began.
            pass
        except Exception:
            log.exception("callback.not_recorded", callback=str(claimed.id))

    async def _attempt(self, claimed: ClaimedCallback, now: datetime) -> _Attempted | None:
        """Send a callback; None if it was deleted meanwhile, with its subject.

        Raises DatabaseUnavailable.
        """
        read_message = SUBJECTS[claimed.subject].read_message
        if claimed.unrecorded > MAX_UNRECORDED:
            log.warning("callback.given_up", callback=str(claimed.id))
            return _Attempted(outcome=_Outcome.NO_ANSWER, is_last=True)
        try:
            async with self._database, self._pool.acquire() as conn:
                message = await read_message(conn, claimed.tenant_id, claimed.subject_id)
                secrets = await service.signing_secrets(conn, claimed.tenant_id)
            if message is None:
                return None
            target = parse_target(claimed.url, self._policy)
            body = msgspec.json.encode(message)
            headers = signed_headers(str(claimed.id), body, secrets=secrets, now=now)
            answer = await self._client.post(target, headers=headers, body=body)
        except DatabaseUnavailable:
            raise
        except InwardTarget as error:
            self._inward.log(claimed.tenant_id, claimed.host, str(error))
            return _Attempted(outcome=_Outcome.NOT_PUBLIC)
        # A URL is unusable where settings have changed since it was accepted.
        except (NoAnswer, UnusableTarget) as error:
            self._log_no_answer(claimed, str(error))
        except Exception:
            # Recorded like the others, so that it ends as they do.
            log.exception("callback.crashed", callback=str(claimed.id))
        else:
            return _Attempted(outcome=_outcome_of(answer.status), answer=answer)
        return _Attempted(outcome=_Outcome.NO_ANSWER)

    async def _record(
        self, claimed: ClaimedCallback, started_at: datetime, attempted: _Attempted
    ) -> None:
        answer = attempted.answer
        delay_seconds: float | None = None
        match attempted.outcome:
            case _Outcome.DELIVERED:
                status = CallbackStatus.DELIVERED
            case _Outcome.GONE:
                status = CallbackStatus.DISABLED
            case _Outcome.REFUSED | _Outcome.NO_ANSWER | _Outcome.NOT_PUBLIC:
                retry_after = None if answer is None else answer.retry_after
                if not attempted.is_last:
                    delay_seconds = next_delay_seconds(
                        claimed.tries, retry_after=retry_after, now=datetime.now(UTC)
                    )
                has_more = delay_seconds is not None
                status = CallbackStatus.PENDING if has_more else CallbackStatus.FAILED
            case _:
                assert_never(attempted.outcome)
        async with (
            self._database,
            self._pool.acquire() as conn,
            conn.transaction(),
        ):
            recorded = await record(
                conn,
                claimed,
                status,
                delay_seconds=delay_seconds,
                started_at=started_at,
                status_code=None if answer is None else answer.status,
            )
            if recorded and status is CallbackStatus.DISABLED:
                await store.disable_url(conn, claimed.tenant_id, uuid.uuid7(), claimed.url)
        if recorded and status is not CallbackStatus.PENDING:
            log.info("callback.ended", callback=str(claimed.id), status=status, tries=claimed.tries)

    def _log_no_answer(self, claimed: ClaimedCallback, reason: str) -> None:
        log.info(
            "callback.no_answer",
            callback=str(claimed.id),
            tenant=str(claimed.tenant_id),
            host=claimed.host,
            # It may quote what the receiver has sent.
            reason=reason[:_MAX_REASON],
        )

    async def _stop(self) -> None:
        sending = dict(self._sending)
        for task in sending:
            task.cancel()
        if not sending:
            return
        await asyncio.wait(sending)
        # Others take them at once, and not after their leases.
        with suppress(DatabaseUnavailable):
            async with self._pool.acquire() as conn:
                await release(conn, list(sending.values()))


@asynccontextmanager
async def open_deliverer(pool: Pool, settings: Settings) -> AsyncIterator[None]:
    """Deliver callbacks for the length of the block, unless settings turn them off."""
    if not settings.callbacks:
        yield
        return
    async with (
        open_egress_client(
            callback_policy(settings), connections=settings.callback_slots
        ) as client,
        background(Deliverer(pool, settings, client).deliver_forever()),
    ):
        yield


def require_usable_egress(settings: Settings) -> None:
    """Check the settings of callbacks and of proxies. Raises InvalidNetworks, InvalidProxy."""
    if settings.callbacks:
        callback_policy(settings)
        proxies_in_environment()


def _outcome_of(status: int) -> _Outcome:
    if 200 <= status < 300:  # noqa: PLR2004 - the class of success
        return _Outcome.DELIVERED
    return _Outcome.GONE if status == _GONE else _Outcome.REFUSED
