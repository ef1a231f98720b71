"""Make events for a pipe, of which one in a hundred is invalid, and find them at its end."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Final

from msgspec import Struct

# What the exercise calls a layout: types, a nested object, and no other fields.
SCHEMA: Final[dict[str, Any]] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["eid", "documentNumber", "name", "age", "address"],
    "properties": {
        "eid": {"type": "string", "format": "uuid"},
        "documentNumber": {"type": "string"},
        "name": {"type": "string"},
        "age": {"type": "integer"},
        "address": {
            "type": "object",
            "properties": {
                "street": {"type": "string"},
                "number": {"type": "integer"},
                "mailAddress": {"type": "boolean"},
            },
        },
    },
}
# Allows what the first one refuses.
MENDED: Final[dict[str, Any]] = {
    **SCHEMA,
    "properties": {**SCHEMA["properties"], "age": {"type": ["integer", "string"]}},
}
_INVALID_EVERY: Final = 100
_EVENTS_A_REQUEST: Final = 1_000


class Events(Struct, frozen=True, kw_only=True):
    """Events of some 200 bytes, numbered from 0."""

    count: int

    @property
    def invalid(self) -> int:
        """Return how many are invalid under the first schema."""
        return -(-self.count // _INVALID_EVERY)

    def event(self, number: int) -> bytes:
        """Return an event; its number is the end of its id."""
        age = b'"old"' if number % _INVALID_EVERY == 0 else b"%d" % (number % 90)
        # Spaces and an escape, which a parser that writes again would lose.
        return (
            b'{"eid":"3e628a05-7a4a-4bf3-8770-%012d", "documentNumber":"42323235600",'
            b'"name":"Jos\\u00e9 %d","age":%b,'
            b'"address":{"street":"St. Blue","number":%d,"mailAddress":true}}'
            % (number, number, age, number % 1_000)
        )

    def bodies(self) -> Iterator[bytes]:
        """Yield the bodies of requests, a thousand events each."""
        for first in range(0, self.count, _EVENTS_A_REQUEST):
            numbers = range(first, min(first + _EVENTS_A_REQUEST, self.count))
            yield b"".join(self.event(each) + b"\n" for each in numbers)

    def number_of(self, event: bytes) -> int | None:
        """Return an event's number if every byte is as it was made."""
        try:
            number = int(json.loads(event)["eid"][-12:])
        except (ValueError, KeyError, TypeError):
            return None
        return number if number < self.count and self.event(number) == event else None


class Found(Struct, kw_only=True):
    """What has come out: how often each event, and how many are none of them."""

    times: Counter[int]
    foreign: int = 0

    @property
    def doubled(self) -> int:
        """Return how many came more than once, as a pipe may send them at a kill."""
        return sum(times > 1 for times in self.times.values())


def find(events: Events, forwarded: Iterable[bytes]) -> Found:
    """Count events by their numbers."""
    found = Found(times=Counter())
    for each in forwarded:
        number = events.number_of(each)
        if number is None:
            found.foreign += 1
        else:
            found.times[number] += 1
    return found


def is_invalid(number: int) -> bool:
    """Return whether the first schema refuses an event."""
    return number % _INVALID_EVERY == 0
