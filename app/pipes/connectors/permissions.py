"""Decide which queues, streams and URLs a tenant's pipe may use."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final
from uuid import UUID

from app.db import Connection
from app.egress.policy import pipe_policy
from app.egress.targets import UnusableTarget, parse_target
from app.errors import CrivoError, invalid
from app.pipes.connectors import sqs_client
from app.pipes.model import (
    HttpSink,
    PutPipe,
    SqsSink,
    SqsSource,
)
from app.references import is_name
from app.settings import Settings
from app.tenants.store import select_names, select_tenant

_TENANT: Final = "{tenant}"


class ConnectorsNotUsable(CrivoError):
    """A setting of pipes cannot be in force here."""


def require_usable_connectors(settings: Settings) -> None:
    """Check the settings as a process starts. Raises ConnectorsNotUsable, InvalidNetworks."""
    pipe_policy(settings)
    if settings.pipe_sqs_queues and not sqs_client.is_installed():
        raise ConnectorsNotUsable(
            "CRIVO_PIPE_SQS_QUEUES is set, and there is no aiobotocore: "
            "install requirements-sqs.lock, too"
        )
    for pattern in _patterns(settings.pipe_sqs_queues):
        if not re.fullmatch(r"[^{}]*(\{tenant\}[^{}]*)?", pattern):
            raise ConnectorsNotUsable(
                f"CRIVO_PIPE_SQS_QUEUES: {pattern!r} may have {_TENANT} once, and no other braces"
            )


async def require_permitted(
    conn: Connection, settings: Settings, tenant: UUID, definition: PutPipe
) -> None:
    """Check what a tenant's pipe connects to. Raises InvalidRequest."""
    source, sink = definition.source.source, definition.sink.sink
    for each, pointer in ((source, "/from"), (sink, "/to")):
        if isinstance(each, SqsSource | SqsSink):
            await _require_queue(conn, settings, tenant, each.queue, f"{pointer}/sqs/queue")
    if isinstance(sink, HttpSink):
        try:
            parse_target(sink.url, pipe_policy(settings))
        except UnusableTarget as error:
            raise invalid("/to/http/url", str(error)) from None


async def may_use_queue(conn: Connection, settings: Settings, *, tenant: str, queue: str) -> bool:
    """Return whether a queue of SQS is the tenant's, or anybody's.

    Where a queue fits several tenants, as `acme-eu-orders` fits `acme` and `acme-eu`, it is the one
    of the longest name.
    """
    candidates: set[str] = set()
    for pattern in _patterns(settings.pipe_sqs_queues):
        if _TENANT in pattern:
            candidates.update(_tenants_in(pattern, queue))
        elif _expression(pattern).fullmatch(queue):
            return True
    if tenant not in candidates:
        return False
    longer = [each for each in candidates if len(each) > len(tenant)]
    return not await select_names(conn, longer)


async def _require_queue(
    conn: Connection, settings: Settings, tenant: UUID, queue: str, pointer: str
) -> None:
    if not settings.pipe_sqs_queues:
        raise invalid(pointer, "SQS is turned off here: CRIVO_PIPE_SQS_QUEUES names no queues")
    if not sqs_client.is_installed():
        raise invalid(pointer, "SQS is turned off here: requirements-sqs.lock is not installed")
    found = await select_tenant(conn, tenant)
    name = "" if found is None else found.name
    if not await may_use_queue(conn, settings, tenant=name, queue=queue):
        patterns = ", ".join(_patterns(settings.pipe_sqs_queues))
        raise invalid(pointer, f"is no queue of the tenant {name}: {patterns}")


def _patterns(setting: str) -> list[str]:
    return [each.strip() for each in setting.split(",") if each.strip()]


def _tenants_in(pattern: str, queue: str) -> Iterator[str]:
    """Yield each text that makes the pattern fit the queue as the name of a tenant."""
    before, _, after = pattern.partition(_TENANT)
    places = range(len(queue) + 1)
    starts = [each for each in places if _expression(before).fullmatch(queue, 0, each)]
    ends = [each for each in places if _expression(after).fullmatch(queue, each)]
    for start in starts:
        for end in ends:
            if is_name(name := queue[start:end]):
                yield name


@lru_cache(maxsize=64)
def _expression(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, pattern.split("*"))))
