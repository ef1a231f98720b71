"""Send the events of a pipe to a queue of SQS, in batches."""

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256
from itertools import islice
from typing import Any, Final

from app.pipes.connectors.model import Outgoing, Placed, Sent
from app.pipes.connectors.sending import Sending
from app.pipes.connectors.sqs_client import (
    MAX_ENTRIES,
    RefusedContents,
    SqsLink,
    open_sqs,
    unavailable,
)
from app.pipes.model import SqsSink as Definition
from app.settings import Settings

# By which a receiver recognises an event that arrives again.
EVENT_ID_ATTRIBUTE: Final = "crivo_event_id"
# Of events whose source has one order for all.
_ONE_GROUP: Final = "crivo"
_ATTRIBUTE_BYTES: Final = len(EVENT_ID_ATTRIBUTE) + len("String")
# Requests at once to a queue without order.
_REQUESTS: Final = 4
_TRIES: Final = 5
_PAUSE_SECONDS: Final = 0.1
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
_FORBIDDEN: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NAME: Final = re.compile(r"[!-~]{1,128}")
_AT_FAULT: Final = frozenset({"InvalidMessageContents", "InvalidParameterValue", "MessageTooLong"})


@asynccontextmanager
async def open_sqs_sink(settings: Settings, sink: Definition) -> AsyncIterator["SqsSink"]:
    """Open a queue for the length of the block. Raises ConnectorUnavailable."""
    async with open_sqs(settings, sink.queue) as link:
        yield SqsSink(link)


class SqsSink:
    """A queue, to which events are sent as the bodies of messages."""

    def __init__(self, link: SqsLink) -> None:
        """Take the queue."""
        self._link = link

    async def send(self, events: Sequence[Outgoing]) -> Sent:
        """Send the events, but for those that SQS does not take. Raises ConnectorUnavailable.

        To a FIFO queue, the events of a group go one after the other.
        """
        sending = Sending(events)
        left: list[Placed] = []
        for place, each in enumerate(events):
            if reason := self._fault_of(each):
                sending.refuse(place, reason)
            else:
                left.append((place, each))

        async def send(some: Sequence[Placed]) -> None:
            await self._send(some, sending)

        if self._link.is_fifo:
            return await sending.run(self._in_order(left), send)
        return await sending.run(self._divided(left), send, at_once=_REQUESTS)

    def _fault_of(self, event: Outgoing) -> str | None:
        if not event.data:
            return "SQS takes no empty message"
        size = _size(event)
        if size > self._link.max_bytes:
            return f"larger than {self._link.max_bytes} bytes, with the id that is sent along"
        try:
            text = event.data.decode()
        except UnicodeDecodeError as error:
            return f"SQS takes UTF-8 only: byte {error.start} is something else"
        if found := _FORBIDDEN.search(text):
            place = len(text[: found.start()].encode())
            return f"SQS does not take the character U+{ord(found[0]):04X} at byte {place}"
        return None

    async def _send(self, events: Sequence[Placed], sending: Sending) -> None:
        """Send the events of one request until each has arrived or is refused."""
        left = list(events)
        code = ""
        for attempt in range(_TRIES):
            if attempt:
                await asyncio.sleep(_PAUSE_SECONDS * 2**attempt)
            try:
                failed = await self._link.call_for_all(
                    "send_message_batch",
                    [self._entry(str(number), each) for number, (_, each) in enumerate(left)],
                )
            except RefusedContents as error:
                await self._send_apart(left, str(error), sending)
                return
            again: set[int] = set()
            for each in failed:
                place, _ = left[int(each["Id"])]
                code = str(each.get("Code", "")).rpartition(".")[2]
                if code in _AT_FAULT:
                    sending.refuse(place, f"SQS refuses it: {code}")
                else:
                    again.add(place)
            sending.confirm(each for each in left if each[0] not in again)
            left = [each for each in left if each[0] in again]
            if not left:
                return
        raise unavailable(self._link.queue, code)

    async def _send_apart(self, events: Sequence[Placed], code: str, sending: Sending) -> None:
        """Find out which events of a request that was refused as a whole are at fault."""
        if len(events) == 1:
            sending.refuse(events[0][0], f"SQS refuses it: {code}")
            return
        for each in events:
            await self._send([each], sending)

    def _entry(self, number: str, event: Outgoing) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "Id": number,
            "MessageBody": event.data.decode(),
            "MessageAttributes": {
                EVENT_ID_ATTRIBUTE: {"DataType": "String", "StringValue": event.id}
            },
        }
        if self._link.is_fifo:
            entry["MessageGroupId"] = _name(_group_of(event))
            entry["MessageDeduplicationId"] = _name(event.id)
        return entry

    def _in_order(self, events: Sequence[Placed]) -> Iterator[list[Placed]]:
        """Divide events into requests, none of which has two of a group.

        Of a request, SQS may take a later message and not an earlier one.
        """
        groups: dict[str, deque[Placed]] = {}
        for each in events:
            groups.setdefault(_group_of(each[1]), deque()).append(each)
        turns = deque(groups.values())
        while turns:
            some: list[Placed] = []
            size = 0
            for group in list(islice(turns, MAX_ENTRIES)):
                if some and size + _size(group[0][1]) > self._link.max_batch_bytes:
                    break
                turns.popleft()
                some.append(group.popleft())
                size += _size(some[-1][1])
                if group:
                    turns.append(group)
            yield some

    def _divided(self, events: Iterable[Placed]) -> Iterator[list[Placed]]:
        some: list[Placed] = []
        size = 0
        for each in events:
            too_large = size + _size(each[1]) > self._link.max_batch_bytes
            if some and (len(some) == MAX_ENTRIES or too_large):
                yield some
                some, size = [], 0
            some.append(each)
            size += _size(each[1])
        if some:
            yield some


def _group_of(event: Outgoing) -> str:
    return _ONE_GROUP if event.group is None else event.group


def _size(event: Outgoing) -> int:
    """Return what counts against the limits of SQS: bytes of the body and of the attribute."""
    return len(event.data) + _ATTRIBUTE_BYTES + len(event.id.encode())


def _name(text: str) -> str:
    """Return a text that SQS takes as a name of a group or for its deduplication."""
    return text if _NAME.fullmatch(text) else sha256(text.encode()).hexdigest()
