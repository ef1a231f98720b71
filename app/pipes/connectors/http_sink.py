"""Send the events of a pipe to a URL, one after the other."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final
from urllib.parse import quote
from uuid import UUID

import structlog

from app.callbacks.delivery.schedule import retry_after_seconds
from app.callbacks.delivery.signatures import signed_headers
from app.callbacks.service import signing_secrets
from app.db import Pool
from app.egress.client import EgressClient, open_egress_client
from app.egress.errors import InwardTarget, NoAnswer
from app.egress.policy import pipe_policy
from app.egress.targets import Target, UnusableTarget, parse_target
from app.limits import MIB
from app.pipes.connectors.model import ConnectorUnavailable, Outgoing, Placed, Sent
from app.pipes.connectors.sending import Sending
from app.pipes.model import HttpSink as Definition, LoadedPipe
from app.settings import Settings

log = structlog.get_logger(__name__)

# What is wrong with an event. Every other refusal is about the URL, the key or the receiver's
# state: all events would get it, so the pipe waits.
REFUSED_STATUSES: Final = frozenset({400, 413, 422})
_MAX_RETRY_AFTER_SECONDS: Final = 3_600.0
# Of one request with many events: servers take 8 KiB of headers.
_MAX_IDS_BYTES: Final = 4_096
_MAX_BYTES: Final = MIB
_MAX_REASON: Final = 200
# Of an id, what a header may have; a comma stands between two.
_ID_CHARACTERS: Final = "!$&'()*+-./:;=?@_~"


@asynccontextmanager
async def open_http_sink(
    settings: Settings, pool: Pool, pipe: LoadedPipe, sink: Definition
) -> AsyncIterator["HttpSink"]:
    """Open a client for the length of the block. Raises ConnectorUnavailable."""
    policy = pipe_policy(settings)
    try:
        target = parse_target(sink.url, policy)
    except UnusableTarget as error:
        # Settings have changed since the pipe was put.
        raise ConnectorUnavailable(f"the URL {error}") from None
    # Of this pipe only, so that connections can serve many requests.
    async with open_egress_client(policy, connections=1, keep_alive=True) as client:
        yield HttpSink(client, pool, tenant=pipe.tenant_id, target=target, sink=sink)


class HttpSink:
    """A URL that gets POST requests, signed as callbacks are."""

    def __init__(
        self, client: EgressClient, pool: Pool, *, tenant: UUID, target: Target, sink: Definition
    ) -> None:
        """Take an open client, the tenant whose secrets sign, and where requests go."""
        self._client = client
        self._pool = pool
        self._tenant = tenant
        self._target = target
        self._is_ndjson = sink.format == "ndjson"

    async def send(self, events: Sequence[Outgoing]) -> Sent:
        """Send the events in their order. Raises ConnectorUnavailable, DatabaseUnavailable."""
        sending = Sending(events)
        left: list[Placed] = []
        for place, each in enumerate(events):
            if reason := self._fault_of(each):
                sending.refuse(place, reason)
            else:
                left.append((place, each))
        async with self._pool.acquire() as conn:
            secrets = await signing_secrets(conn, self._tenant)
        return await sending.run(
            self._divided(left), lambda some: self._send(some, secrets, sending)
        )

    def _fault_of(self, event: Outgoing) -> str | None:
        try:
            event.data.decode()
        except UnicodeDecodeError as error:
            return f"not UTF-8, of which requests are signed: byte {error.start}"
        if self._is_ndjson and b"\n" in event.data:
            return "has a line feed, which would end its line of NDJSON"
        return None

    async def _send(
        self, events: Sequence[Placed], secrets: Sequence[bytes], sending: Sending
    ) -> None:
        """Send one request; if it is refused, find out which events are at fault."""
        status = await self._post([each for _, each in events], secrets)
        if status is None:
            sending.confirm(events)
        elif len(events) == 1:
            sending.refuse(events[0][0], f"{self._target.host} answers {status}")
        else:
            half = len(events) // 2
            await self._send(events[:half], secrets, sending)
            await self._send(events[half:], secrets, sending)

    async def _post(self, events: Sequence[Outgoing], secrets: Sequence[bytes]) -> int | None:
        """Send a request; return the status that refuses its events, None if they were taken."""
        ids = [_header(each.id) for each in events]
        body = events[0].data
        number = ids[0]
        if self._is_ndjson:
            body = b"".join(each.data + b"\n" for each in events)
            number = sha256(",".join(ids).encode()).hexdigest()
        headers = signed_headers(number, body, secrets=secrets, now=datetime.now(UTC))
        if self._is_ndjson:
            headers |= {"Content-Type": "application/x-ndjson", "Crivo-Event-Ids": ",".join(ids)}
        else:
            headers["Crivo-Event-Id"] = number
        try:
            answer = await self._client.post(self._target, headers=headers, body=body)
        except NoAnswer as error:
            # Why there is none tells what an inner network has, which is for the operator.
            kind = "pipe.inward" if isinstance(error, InwardTarget) else "pipe.no_answer"
            reason = str(error)[:_MAX_REASON]
            log.info(kind, tenant=str(self._tenant), host=self._target.host, reason=reason)
            raise ConnectorUnavailable(f"no answer from {self._target.host}") from None
        if 200 <= answer.status < 300:  # noqa: PLR2004 - the class of success
            return None
        if answer.status in REFUSED_STATUSES:
            return answer.status
        wanted = retry_after_seconds(answer.retry_after, datetime.now(UTC))
        raise ConnectorUnavailable(
            f"{self._target.host} answers {answer.status}",
            retry_after=min(wanted, _MAX_RETRY_AFTER_SECONDS) or None,
        )

    def _divided(self, events: Sequence[Placed]) -> Iterator[Sequence[Placed]]:
        """Divide events into requests: one each, or as many as a request holds."""
        if not self._is_ndjson:
            yield from ([each] for each in events)
            return
        some: list[Placed] = []
        size = ids = 0
        for place, each in events:
            more, more_ids = len(each.data) + 1, len(_header(each.id)) + 1
            if some and (size + more > _MAX_BYTES or ids + more_ids > _MAX_IDS_BYTES):
                yield some
                some, size, ids = [], 0, 0
            some.append((place, each))
            size, ids = size + more, ids + more_ids
        if some:
            yield some


def _header(event_id: str) -> str:
    return quote(event_id, safe=_ID_CHARACTERS)
