"""Callbacks arrive signed, are retried until they are accepted, and are never turned inwards."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import timedelta
from functools import partial
from ipaddress import ip_address
from uuid import UUID

import pytest
import uuid_utils.compat as uuid
from msgspec.structs import replace
from standardwebhooks import Webhook, WebhookVerificationError

from app.callbacks import store
from app.callbacks.delivery import deliverer
from app.callbacks.delivery.schedule import DELAYS_SECONDS, MAX_UNRECORDED
from app.callbacks.model import CallbackStatus, secret_text
from app.callbacks.service import signing_secrets
from app.db import Connection, Pool
from app.egress import client as egress
from app.egress.addresses import Address
from app.egress.resolver import LookupFailed
from app.executions.store import select_execution
from app.metrics import REGISTRY
from app.settings import Settings
from tests.callbacks.deliveries import Deliveries
from tests.support.queues import FAILURE
from tests.support.receivers import Receiver, open_receiver

PENDING, DELIVERED = CallbackStatus.PENDING, CallbackStatus.DELIVERED


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with open_receiver() as receiver:
        yield receiver


@pytest.fixture
def deliveries(pool: Pool, settings: Settings) -> Deliveries:
    return Deliveries(pool, settings)


def _url(receiver: Receiver, path: str, host: str = "127.0.0.1") -> str:
    return f"http://{host}:{receiver.port}{path}"


async def test_a_callback_is_signed_and_holds_the_receipt_but_no_payload(
    deliveries: Deliveries, receiver: Receiver
) -> None:
    tenant = await deliveries.queues.tenant()
    [execution] = await deliveries.ended(_url(receiver, "/ok?a=1"), tenant=tenant)

    async with deliveries.running():
        callback = await deliveries.reaches(execution, DELIVERED)

    [request] = receiver.received
    async with deliveries.pool.acquire() as conn:
        [secret] = await signing_secrets(conn, tenant)
        shown = await select_execution(conn, tenant, execution)
    message = Webhook(secret_text(secret)).verify(request.body, request.headers)
    assert shown is not None
    assert shown.finished_at is not None
    assert request.path == "/ok?a=1"
    assert request.headers["webhook-id"] == str(callback.id)
    assert request.headers["content-type"] == "application/json"
    assert message.keys() == {"type", "timestamp", "data"}
    assert message["type"] == "execution.succeeded"
    assert message["timestamp"] == shown.finished_at.isoformat().replace("+00:00", "Z")
    assert message["data"].keys() == {"id", "status", "url", "receipt"}
    assert message["data"]["id"] == str(execution)
    assert message["data"]["url"] == f"/executions/{execution}"
    assert message["data"]["receipt"]["script"]["version"] == 1
    assert [each.status_code for each in callback.attempts] == [204]
    with pytest.raises(WebhookVerificationError):
        Webhook(secret_text(secret)).verify(request.body + b" ", request.headers)


async def test_a_failure_is_retried_with_the_same_id_and_body(
    deliveries: Deliveries, receiver: Receiver
) -> None:
    [execution] = await deliveries.ended(_url(receiver, "/flaky"))

    async with deliveries.running():
        failed = await deliveries.reaches(execution, PENDING)
        assert failed.next_attempt_at is not None
        pause = failed.next_attempt_at - failed.attempts[0].started_at
        await deliveries.make_due()
        delivered = await deliveries.reaches(execution, DELIVERED)

    first, second = receiver.received
    assert [each.status_code for each in delivered.attempts] == [500, 204]
    assert [each.number for each in delivered.attempts] == [1, 2]
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == str(delivered.id)
    assert first.body == second.body
    assert timedelta(seconds=4) < pause < timedelta(seconds=60)


async def test_after_the_last_attempt_a_callback_has_failed(
    deliveries: Deliveries, receiver: Receiver
) -> None:
    [execution] = await deliveries.ended(_url(receiver, "/status/500"))
    await deliveries.make_due(tries=len(DELAYS_SECONDS) - 1)

    async with deliveries.running():
        await deliveries.reaches(execution, PENDING)
        await deliveries.make_due()
        failed = await deliveries.reaches(execution, CallbackStatus.FAILED, attempts=2)

    assert failed.next_attempt_at is None


@pytest.mark.parametrize("path", ["/slow", "/cut"])
async def test_no_answer_is_shown_as_such_and_retried(
    deliveries: Deliveries, receiver: Receiver, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(egress, "REQUEST_SECONDS", 0.5)
    [execution] = await deliveries.ended(_url(receiver, path))

    async with deliveries.running():
        callback = await deliveries.reaches(execution, PENDING)

    assert [each.status_code for each in callback.attempts] == [None]


async def test_a_redirect_is_a_failure(deliveries: Deliveries, receiver: Receiver) -> None:
    [execution] = await deliveries.ended(_url(receiver, f"/redirect?to={_url(receiver, '/ok')}"))

    async with deliveries.running():
        callback = await deliveries.reaches(execution, PENDING)

    assert [each.status_code for each in callback.attempts] == [302]
    assert len(receiver.received) == 1


async def test_retry_after_is_obeyed(deliveries: Deliveries, receiver: Receiver) -> None:
    [execution] = await deliveries.ended(_url(receiver, "/status/503?retry_after=3600"))

    async with deliveries.running():
        callback = await deliveries.reaches(execution, PENDING)

    assert callback.next_attempt_at is not None
    pause = callback.next_attempt_at - callback.attempts[0].started_at
    assert timedelta(seconds=3_600) <= pause < timedelta(seconds=3_660)


async def test_410_disables_the_url_of_that_tenant(
    deliveries: Deliveries, receiver: Receiver
) -> None:
    gone = _url(receiver, "/status/410")
    tenant = await deliveries.queues.tenant()
    first, second = await deliveries.ended(gone, tenant=tenant, count=2)
    [elsewhere] = await deliveries.ended(_url(receiver, "/ok"), tenant=tenant)
    # The second is due later, and so pending as the answer comes.
    await deliveries.pool.execute(
        "UPDATE callbacks SET next_attempt_at = now() + interval '1 hour' WHERE subject_id = $1",
        second,
    )

    async with deliveries.running():
        await deliveries.reaches(first, CallbackStatus.DISABLED)
        await deliveries.reaches(second, CallbackStatus.DISABLED, attempts=0)
        await deliveries.reaches(elsewhere, DELIVERED)
        [later] = await deliveries.ended(gone, tenant=tenant)
        [others] = await deliveries.ended(gone)
        await deliveries.reaches(others, CallbackStatus.DISABLED)

    assert (await deliveries.callback(later)).status is CallbackStatus.DISABLED
    assert (await deliveries.callback(later)).attempts == []
    assert receiver.paths().count("/status/410") == 2
    async with deliveries.pool.acquire() as conn:
        assert await store.is_disabled(conn, tenant, gone)


async def test_callbacks_that_are_answered_with_410_at_once_do_not_wait_for_each_other(
    deliveries: Deliveries,
) -> None:
    tenant, url = await deliveries.queues.tenant(), "https://gone.example/"
    await deliveries.ended(url, tenant=tenant, count=2)
    ids = await deliveries.pool.fetch("SELECT id FROM callbacks ORDER BY id DESC")

    async def disable(conn: Connection, callback: UUID) -> None:
        await conn.execute("UPDATE callbacks SET lease_token = 0 WHERE id = $1", callback)
        recorded.release()
        await both_recorded.wait()
        await store.disable_url(conn, tenant, uuid.uuid7(), url)

    recorded, both_recorded = asyncio.Semaphore(0), asyncio.Event()
    async with (
        deliveries.pool.acquire() as first,
        deliveries.pool.acquire() as second,
        asyncio.TaskGroup() as tasks,
    ):
        for conn, row in zip((first, second), ids, strict=True):
            tasks.create_task(_in_transaction(conn, partial(disable, conn, row["id"])))
        for _ in ids:
            await recorded.acquire()
        both_recorded.set()


async def test_an_inward_name_gets_nothing_and_shows_as_no_answer(
    deliveries: Deliveries, receiver: Receiver
) -> None:
    async def inward(_: str) -> Sequence[Address]:
        return [ip_address("10.0.0.1")]

    inward_attempts = ("crivo_callback_attempts_total", {"outcome": "not_public"})
    before = REGISTRY.get_sample_value(*inward_attempts) or 0
    [execution] = await deliveries.ended(_url(receiver, "/ok", host="receiver.example"))

    async with deliveries.running(resolver=inward):
        callback = await deliveries.reaches(execution, PENDING)

    assert [each.status_code for each in callback.attempts] == [None]
    assert receiver.received == []
    assert (REGISTRY.get_sample_value(*inward_attempts) or 0) == before + 1


async def test_a_url_that_settings_no_longer_allow_is_not_requested(
    deliveries: Deliveries, receiver: Receiver
) -> None:
    [execution] = await deliveries.ended(_url(receiver, "/ok"))
    deliveries.settings = replace(deliveries.settings, callback_http=False)

    async with deliveries.running():
        callback = await deliveries.reaches(execution, PENDING)

    assert [each.status_code for each in callback.attempts] == [None]
    assert receiver.received == []


async def test_a_callback_that_cannot_be_written_uses_up_its_schedule(
    deliveries: Deliveries, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> dict[str, str]:
        raise ValueError

    monkeypatch.setattr(deliverer, "signed_headers", fail)
    [execution] = await deliveries.ended(_url(receiver, "/ok"))
    await deliveries.make_due(tries=len(DELAYS_SECONDS))

    async with deliveries.running():
        callback = await deliveries.reaches(execution, CallbackStatus.FAILED)

    assert [each.status_code for each in callback.attempts] == [None]
    assert receiver.received == []


async def test_a_callback_whose_attempts_are_never_recorded_ends(
    deliveries: Deliveries, receiver: Receiver
) -> None:
    [execution] = await deliveries.ended(_url(receiver, "/ok"))
    await deliveries.make_due(unrecorded=MAX_UNRECORDED)

    async with deliveries.running():
        await deliveries.reaches(execution, CallbackStatus.FAILED)

    assert receiver.received == []


async def test_a_stopped_process_leaves_its_attempts_to_others_uncounted(
    deliveries: Deliveries, receiver: Receiver
) -> None:
    [execution] = await deliveries.ended(_url(receiver, "/held"))

    async with deliveries.running(), asyncio.timeout(30):
        while not receiver.received:  # noqa: ASYNC110 - another thread's
            await asyncio.sleep(0.01)
    released = await deliveries.callback(execution)
    receiver.release()
    async with deliveries.running():
        delivered = await deliveries.reaches(execution, DELIVERED)

    assert (released.status, released.attempts) == (PENDING, [])
    assert [each.number for each in delivered.attempts] == [1]
    assert {each.headers["webhook-id"] for each in receiver.received} == {str(delivered.id)}


async def test_a_message_says_how_the_execution_ended(
    deliveries: Deliveries, receiver: Receiver
) -> None:
    tenant = await deliveries.queues.tenant()
    url = _url(receiver, "/ok")
    failed, cancelled = await deliveries.queues.accept(tenant, 2, callback_url=url)
    [claim] = await deliveries.queues.claim()
    await deliveries.queues.finish(claim, FAILURE)
    await deliveries.queues.cancel(tenant, cancelled)

    async with deliveries.running():
        for each in (failed, cancelled):
            await deliveries.reaches(each, DELIVERED)

    messages = [json.loads(each.body) for each in receiver.received]
    assert {each["data"]["id"]: each["type"] for each in messages} == {
        str(failed): "execution.failed",
        str(cancelled): "execution.cancelled",
    }


async def test_every_failure_without_an_answer_looks_the_same(
    deliveries: Deliveries, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def resolve(name: str) -> Sequence[Address]:
        if name == "unknown.example":
            raise LookupFailed(name)
        return [ip_address("10.0.0.1" if name == "inward.example" else "127.0.0.1")]

    monkeypatch.setattr(egress, "REQUEST_SECONDS", 0.5)
    with open_receiver(host="127.0.0.3") as closed:
        pass
    urls = {
        "inward": _url(receiver, "/ok", host="inward.example"),
        "unknown": _url(receiver, "/ok", host="unknown.example"),
        "closed": _url(closed, "/ok", host="127.0.0.3"),
        "no TLS": _url(receiver, "/ok", host="receiver.example").replace("http", "https"),
        "slow": _url(receiver, "/slow"),
        "cut": _url(receiver, "/cut"),
    }
    ids = [(await deliveries.ended(url))[0] for url in urls.values()]

    async with deliveries.running(resolver=resolve):
        callbacks = [await deliveries.reaches(each, PENDING) for each in ids]

    shown = {
        (each.status, tuple((a.number, a.status_code) for a in each.attempts)) for each in callbacks
    }
    assert shown == {(PENDING, ((1, None),))}


async def _in_transaction(conn: Connection, work: Callable[[], Awaitable[None]]) -> None:
    async with conn.transaction():
        await work()
