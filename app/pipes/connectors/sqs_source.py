"""Read the events of a pipe from a queue of SQS, whose messages stay invisible meanwhile."""

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from time import time
from typing import Any, Final

import structlog

from app.background import background
from app.pipes.connectors.model import ConnectorUnavailable, Event, Lag
from app.pipes.connectors.sqs_client import (
    MAX_ENTRIES,
    RefusedContents,
    SqsLink,
    in_requests,
    open_sqs,
)
from app.pipes.model import SqsSource as Definition
from app.settings import Settings

log = structlog.get_logger(__name__)

# Of messages whose worker was killed; those at work are kept invisible.
VISIBILITY_SECONDS: Final = 30
_EXTEND_SECONDS: Final = VISIBILITY_SECONDS / 3
_MAX_WAIT_SECONDS: Final = 20
_RETURN_SECONDS: Final = 3.0
# Requests at once to a queue without order.
_REQUESTS: Final = 8
_TRIES: Final = 4
_PAUSE_SECONDS: Final = 0.1


@asynccontextmanager
async def open_sqs_source(settings: Settings, source: Definition) -> AsyncIterator["SqsSource"]:
    """Open a queue for the length of the block. Raises ConnectorUnavailable.

    At its end, messages that are not acknowledged are visible again.
    """
    async with open_sqs(settings, source.queue) as link:
        opened = SqsSource(link)
        async with background(opened.extend_forever()):
            try:
                yield opened
            finally:
                await opened.give_back()


class SqsSource:
    """The messages of a queue; their bodies are the events."""

    def __init__(self, link: SqsLink) -> None:
        """Take the queue."""
        self._link = link
        # Of messages that were received and are not deleted: their newest handles, by their ids.
        self._handles: dict[str, str] = {}
        self._sent_at: dict[str, float] = {}
        self._ready: deque[Event] = deque()

    async def receive(
        self, *, max_events: int, max_bytes: int, wait_seconds: float
    ) -> Sequence[Event]:
        """Return the next events. Raises ConnectorUnavailable."""
        if not self._ready:
            # SQS waits for whole seconds.
            wait = min(_MAX_WAIT_SECONDS, int(wait_seconds))
            found = await self._receive(min(MAX_ENTRIES, max_events), wait)
            while found and len(self._ready) < max_events and _size(self._ready) < max_bytes:
                found = await self._receive_more(max_events - len(self._ready))
        taken: list[Event] = []
        size = 0
        while self._ready and len(taken) < max_events and size < max_bytes:
            taken.append(self._ready.popleft())
            size += len(taken[-1].data)
        return taken

    async def acknowledge(self, events: Sequence[Event]) -> None:
        """Delete the messages. Raises ConnectorUnavailable."""
        left = [each.receipt for each in events]
        for number in range(_TRIES):
            if number:
                await asyncio.sleep(_PAUSE_SECONDS * 2**number)
            left = await self._delete(left)
            if not left:
                return
        raise ConnectorUnavailable(f"SQS does not delete messages of the queue {self._link.queue}")

    async def lag(self) -> Lag:
        """Return about how many messages there are. Raises ConnectorUnavailable."""
        names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        attributes = await self._link.attributes(*names)
        # SQS tells the age of the oldest message to CloudWatch only.
        oldest = min(self._sent_at.values(), default=None)
        return Lag(
            events=sum(int(attributes.get(each, 0)) for each in names),
            oldest_seconds=None if oldest is None else max(0.0, time() - oldest),
        )

    async def extend_forever(self) -> None:
        """Keep the messages that are at work invisible, until cancelled."""
        while True:
            await asyncio.sleep(_EXTEND_SECONDS)
            try:
                await self._set_visibility(VISIBILITY_SECONDS)
            except (ConnectorUnavailable, RefusedContents) as error:
                # They may come again, under the same ids.
                log.info("pipe.not_extended", queue=self._link.queue, reason=str(error))

    async def give_back(self) -> None:
        """Make what is not acknowledged visible again, if that is quick."""
        with suppress(ConnectorUnavailable, RefusedContents, TimeoutError):
            async with asyncio.timeout(_RETURN_SECONDS):
                await self._set_visibility(0)

    async def _receive_more(self, count: int) -> int:
        """Receive up to so many messages that are there; return how many have come."""
        requests = 1 if self._link.is_fifo else min(_REQUESTS, math.ceil(count / MAX_ENTRIES))
        counts = [min(MAX_ENTRIES, count - MAX_ENTRIES * number) for number in range(requests)]
        receiving = (self._receive(each, 0) for each in counts)
        found = await asyncio.gather(*receiving, return_exceptions=True)
        # Something was received before: a failure that lasts is raised by the next call.
        return sum(each for each in found if isinstance(each, int))

    async def _receive(self, count: int, wait_seconds: int) -> int:
        """Receive messages and keep them for the caller, even if it is cancelled meanwhile."""
        reply = await self._link.call(
            "receive_message",
            MaxNumberOfMessages=count,
            WaitTimeSeconds=wait_seconds,
            VisibilityTimeout=VISIBILITY_SECONDS,
            MessageSystemAttributeNames=["SentTimestamp", "MessageGroupId"],
        )
        messages = reply.get("Messages", ())
        for each in messages:
            number = each["MessageId"]
            # A queue without order may deliver a message twice; the newest handle counts.
            if number not in self._handles:
                self._ready.append(self._event(each))
            self._handles[number] = each["ReceiptHandle"]
        return len(messages)

    def _event(self, message: Mapping[str, Any]) -> Event:
        number: str = message["MessageId"]
        attributes = message.get("Attributes", {})
        self._sent_at[number] = int(attributes.get("SentTimestamp", 0)) / 1_000 or time()
        return Event(
            id=f"sqs:{self._link.queue}:{number}",
            data=message["Body"].encode("utf-8", "surrogatepass"),
            receipt=number,
            # Without order, each message is a group of its own.
            group=attributes.get("MessageGroupId") if self._link.is_fifo else number,
        )

    async def _delete(self, numbers: Iterable[str]) -> list[str]:
        """Delete messages; return those that could not be."""
        left = []
        for some in in_requests([each for each in numbers if each in self._handles]):
            entries = [
                {"Id": str(place), "ReceiptHandle": self._handles[each]}
                for place, each in enumerate(some)
            ]
            failed = await self._link.call_for_all("delete_message_batch", entries)
            # At fault is a handle whose time is over: the message comes again.
            again = {int(each["Id"]) for each in failed if not each.get("SenderFault")}
            for place, each in enumerate(some):
                if place in again:
                    left.append(each)
                else:
                    self._forget(each)
        return left

    async def _set_visibility(self, seconds: int) -> None:
        for some in in_requests(list(self._handles.items())):
            entries = [
                {"Id": str(place), "ReceiptHandle": handle, "VisibilityTimeout": seconds}
                for place, (_, handle) in enumerate(some)
            ]
            await self._link.call_for_all("change_message_visibility_batch", entries)

    def _forget(self, number: str) -> None:
        self._handles.pop(number, None)
        self._sent_at.pop(number, None)


def _size(events: Iterable[Event]) -> int:
    return sum(len(each.data) for each in events)
