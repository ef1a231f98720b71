"""A tenant's pipe uses the tenant's own queues and public URLs, and never feeds itself."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import uuid_utils.compat as uuid
from hypothesis import given, settings as settings_of_hypothesis
from hypothesis.strategies import from_regex

from app.db import Connection, Pool
from app.errors import InvalidRequest
from app.pipes.connectors import sqs_client
from app.pipes.connectors.permissions import (
    ConnectorsNotUsable,
    may_use_queue,
    require_permitted,
    require_usable_connectors,
)
from app.pipes.connectors.redis_client import stream_key
from app.pipes.model import ADDRESS_PATTERN as STREAM_PATTERN, PutPipe
from app.quotas.model import Caps
from app.references import NAME_PATTERN
from app.settings import Settings
from app.tenants.store import insert_tenant

ACME = uuid.uuid7()


@pytest.fixture
async def conn(pool: Pool) -> AsyncIterator[Connection]:
    """A connection whose tenants are gone at the end."""
    async with pool.acquire() as conn:
        transaction = conn.transaction()
        await transaction.start()
        for tenant, name in ((ACME, "acme"), (uuid.uuid7(), "acme-eu"), (uuid.uuid7(), "a")):
            caps = msgspec.convert(dict.fromkeys(Caps.__struct_fields__), Caps)
            await insert_tenant(conn, tenant, name=name, weight=1, caps=caps)
        yield conn
        await transaction.rollback()


@pytest.mark.parametrize(
    ("patterns", "queue", "tenants"),
    [
        ("{tenant}-*", "acme-orders.fifo", {"acme"}),
        ("{tenant}-*", "acme-eu-orders", {"acme-eu"}),
        ("{tenant}-*", "acme-us-orders", {"acme"}),
        ("{tenant}-*", "acme", set()),
        ("{tenant}-*", "zacme-orders", set()),
        ("prod-{tenant}, x-{tenant}-y", "prod-acme", {"acme"}),
        ("prod-{tenant}, x-{tenant}-y", "x-acme-eu-y", {"acme-eu"}),
        ("prod-{tenant}, shared", "shared", {"a", "acme", "acme-eu"}),
        ("*{tenant}*", "xacme-eux", {"acme-eu"}),
        ("", "acme-orders", set()),
        ("{tenant}.*", "acme-orders", set()),
    ],
)
async def test_a_queue_belongs_to_the_tenant_with_the_longest_name_that_fits(
    conn: Connection, patterns: str, queue: str, tenants: set[str]
) -> None:
    settings = Settings(pipe_sqs_queues=patterns)

    found = {
        tenant
        for tenant in ("a", "acme", "acme-eu")
        if await may_use_queue(conn, settings, tenant=tenant, queue=queue)
    }

    assert found == tenants


HTTP: dict[str, Any] = {"http": {"url": "https://example.com/events"}}


@pytest.mark.parametrize(
    ("source", "sink", "message"),
    [
        ({"sqs": {"queue": "acme-in"}}, {"sqs": {"queue": "acme-out"}}, None),
        (
            {"sqs": {"queue": "acme-eu-in"}},
            HTTP,
            "/from/sqs/queue: is no queue of the tenant acme: {tenant}-*",
        ),
        (
            {"http": {}},
            {"sqs": {"queue": "other"}},
            "/to/sqs/queue: is no queue of the tenant acme: {tenant}-*",
        ),
        (
            {"http": {}},
            {"http": {"url": "https://10.0.0.1/"}},
            "/to/http/url: has an address that is not public",
        ),
        (
            {"http": {}},
            {"http": {"url": "http://example.com/"}},
            "/to/http/url: begins with http://; use https://",
        ),
    ],
)
async def test_a_definition_is_refused_by_pointer(
    conn: Connection, source: dict[str, Any], sink: dict[str, Any], message: str | None
) -> None:
    definition = msgspec.convert({"from": source, "to": sink}, PutPipe)
    settings = Settings(pipe_sqs_queues="{tenant}-*")

    found = None
    try:
        await require_permitted(conn, settings, ACME, definition)
    except InvalidRequest as error:
        found = error.detail

    assert found == message


async def test_without_queues_or_client_sqs_is_off(
    conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"from": {"sqs": {"queue": "acme-in"}}, "to": HTTP}
    definition = msgspec.convert(body, PutPipe)
    with pytest.raises(InvalidRequest, match="CRIVO_PIPE_SQS_QUEUES names no queues"):
        await require_permitted(conn, Settings(), ACME, definition)
    monkeypatch.setattr(sqs_client, "find_spec", lambda _: None)
    settings = Settings(pipe_sqs_queues="{tenant}-*")

    with pytest.raises(InvalidRequest, match=r"requirements-sqs\.lock is not installed"):
        await require_permitted(conn, settings, ACME, definition)
    with pytest.raises(ConnectorsNotUsable, match=r"install requirements-sqs\.lock"):
        require_usable_connectors(settings)
    require_usable_connectors(Settings())


@settings_of_hypothesis(max_examples=200)
@given(tenant=from_regex(NAME_PATTERN), stream=from_regex(STREAM_PATTERN))
def test_no_two_tenants_share_a_key(tenant: str, stream: str) -> None:
    # What reads a key back finds the one tenant and the one stream.
    assert stream_key(tenant, stream).split(":", 3) == ["crivo", "pipes", tenant, stream]


def test_a_pattern_with_other_braces_is_refused_at_start() -> None:
    with pytest.raises(ConnectorsNotUsable, match=r"may have \{tenant\} once"):
        require_usable_connectors(Settings(pipe_sqs_queues="{tenants}-*"))
