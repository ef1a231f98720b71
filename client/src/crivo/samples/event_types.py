"""The types of the sample's events, and the pools of values that Faker fills."""

from collections.abc import Sequence
from random import Random
from typing import Final

from faker import Faker
from msgspec import Struct, json

# Sizes of pools are powers of two: the bits of one random number choose from each.
_PEOPLE: Final = 1024
_TEXTS: Final = 256
_LOCALES: Final = ("pt_BR", "en_US", "de_DE", "ja_JP")
_NOTE_CHARACTERS: Final = 40


class EventType(Struct, frozen=True, eq=False):
    """A type of events: its frequency, of 64, and the form of its data.

    The form takes an id, the revision, a number, a person, one of the four `changes`, and a text.
    """

    domain: str
    name: str
    frequency: int
    form: str
    changes: Sequence[str]


EVENT_TYPES: Final = (
    EventType(
        "account",
        "opened",
        3,
        '{"id":"acc-%s","revision":%d,"branch":%d,"customer":%s,%s,"note":%s}',
        ('"plan":"basic"', '"plan":"plus"', '"plan":"family"', '"plan":"business"'),
    ),
    EventType(
        "account",
        "status-change",
        12,
        '{"id":"acc-%s","revision":%d,"case":%d,"customer":%s,%s,"note":%s,"approved_by":null}',
        (
            '"from":"pending","to":"active"',
            '"from":"active","to":"blocked"',
            '"from":"blocked","to":"active"',
            '"from":"active","to":"closed"',
        ),
    ),
    EventType(
        "account",
        "limit-change",
        3,
        '{"id":"acc-%s","revision":%d,"limit_cents":%d,"customer":%s,%s,"note":%s}',
        ('"currency":"BRL"', '"currency":"CHF"', '"currency":"USD"', '"currency":"EUR"'),
    ),
    EventType(
        "card",
        "issued",
        2,
        '{"id":"card-%s","revision":%d,"batch":%d,"holder":%s,%s,"note":%s,"virtual":false}',
        ('"brand":"visa"', '"brand":"mastercard"', '"brand":"elo"', '"brand":"amex"'),
    ),
    EventType(
        "card",
        "blocked",
        1,
        '{"id":"card-%s","revision":%d,"case":%d,"holder":%s,%s,"note":%s}',
        ('"cause":"lost"', '"cause":"stolen"', '"cause":"fraud"', '"cause":"expired"'),
    ),
    EventType(
        "payment",
        "authorized",
        18,
        '{"id":"pay-%s","revision":%d,"amount_cents":%d,"payer":%s,%s,"merchant":%s}',
        (
            '"currency":"BRL","installments":[1]',
            '"currency":"BRL","installments":[1,2,3]',
            '"currency":"USD","installments":[1]',
            '"currency":"EUR","installments":[]',
        ),
    ),
    EventType(
        "payment",
        "captured",
        12,
        '{"id":"pay-%s","revision":%d,"amount_cents":%d,"payer":%s,%s,"merchant":%s}',
        (
            '"currency":"BRL","fee":{"cents":199,"by":"merchant"}',
            '"currency":"BRL","fee":{"cents":0,"by":"payer"}',
            '"currency":"USD","fee":{"cents":250,"by":"merchant"}',
            '"currency":"EUR","fee":null',
        ),
    ),
    EventType(
        "payment",
        "refunded",
        2,
        '{"id":"pay-%s","revision":%d,"amount_cents":%d,"payer":%s,%s,"merchant":%s}',
        (
            '"partial":true,"cause":"damaged"',
            '"partial":false,"cause":"cancelled"',
            '"partial":false,"cause":"fraud"',
            '"partial":true,"cause":"other"',
        ),
    ),
    EventType(
        "session",
        "opened",
        11,
        '{"id":"ses-%s","revision":%d,"build":%d,"user":%s,"device":{%s},"note":%s}',
        (
            '"kind":"phone","system":"android"',
            '"kind":"phone","system":"ios"',
            '"kind":"desktop","system":"linux"',
            '"kind":"desktop","system":"windows"',
        ),
    ),
)


class Pools:
    """Values of each kind, as JSON, of which the data of events is put together."""

    def __init__(self, seed: int) -> None:
        """Fill the pools."""
        fakers = [Faker(locale) for locale in _LOCALES]
        for number, faker in enumerate(fakers):
            faker.seed_instance(seed * len(_LOCALES) + number)
        turns = [fakers[number % len(fakers)] for number in range(_PEOPLE)]
        self._people = [
            _text({"name": each.name(), "email": each.ascii_safe_email(), "city": each.city()})
            for each in turns
        ]
        companies = [_text(each.company()) for each in turns[:_TEXTS]]
        notes = [_text(each.text(_NOTE_CHARACTERS)) for each in turns[:_TEXTS]]
        self._texts = {
            each: companies if each.domain == "payment" else notes for each in EVENT_TYPES
        }
        self._types = [each for each in EVENT_TYPES for _ in range(each.frequency)]

    def type_of(self, bits: int) -> EventType:
        """Choose a type."""
        return self._types[bits & 63]

    def data(self, kind: EventType, identity: str, revision: int, random: Random) -> str:
        """Write the data of an event as JSON without spaces."""
        bits = random.getrandbits(40)
        return kind.form % (
            identity,
            revision,
            bits & 0xFFFFF,
            self._people[bits >> 20 & 1023],
            kind.changes[bits >> 30 & 3],
            self._texts[kind][bits >> 32],
        )


def _text(value: object) -> str:
    return json.encode(value).decode()
