"""A letter says which schema its event was to have, and how several events are sent."""

from uuid import uuid4

import pytest

from app.wording import NAMES
from tests.pipes.http_pipes import (
    letters_of,
    lines_of,
    pipe_when,
    put_dataset,
    put_pipe,
    put_schema,
    send,
    to_dataset,
)
from tests.support.system import System


@pytest.fixture
def dataset(system: System) -> str:
    return put_dataset(system)


def test_an_event_chooses_its_schema(system: System, dataset: str) -> None:
    prefix = f"s{uuid4().hex[:8]}."
    for name, kind in (("shop.order", "integer"), ("shop.refund", "string")):
        properties = {"domain": {}, "type": {}, "n": {"type": kind}}
        put_schema(system, {"properties": properties}, name=prefix + name)
    pipe = put_pipe(
        system, schema={"by": ["/domain", "/type"], "prefix": prefix}, to=to_dataset(dataset)
    )
    order = b'{"domain":"shop","type":"order","n":1}'
    refund = b'{"domain":"shop","type":"refund","n":"1"}'
    wrong, unknown = refund.replace(b'"1"', b"1"), order.replace(b"shop", b"shoe")
    unnamed = order.replace(b"shop", b"Shop")

    send(system, pipe, [order, refund, wrong, unknown, unnamed, b'{"n":1}', b'[{"n":1}]'])

    pipe_when(system, pipe, **{"in": 7})
    letters = letters_of(system, pipe)
    kinds = [each["kind"] for each in letters]
    assert sorted(kinds) == ["input_schema_mismatch", *["unknown_schema"] * 4]
    messages = {each["error"]["message"] for each in letters if each["kind"] == "unknown_schema"}
    no_string = "/domain: is no string, and the schema is chosen by it"
    no_name = (
        f"and none can have that name, which is {NAMES}; the script of a re-drive can write others"
        " into the event"
    )
    lines = "an array is one event; several are sent as lines (application/x-ndjson)"
    assert messages == {
        f"there is no schema '{prefix}shoe.order'",
        f"there is no schema '{prefix}Shop.order'; {no_name}",
        no_string,
        f"{no_string}; {lines}",
    }
    assert lines_of(system, dataset) == [order, refund]


def test_an_array_is_one_event_and_its_letter_says_how_several_are_sent(
    system: System, dataset: str
) -> None:
    schema = put_schema(system, {"type": "object"})
    pipe = put_pipe(system, schema=schema, to=to_dataset(dataset))

    system.client.post(f"/pipes/{pipe}/events", json=[{"n": 1}, {"n": 2}])

    pipe_when(system, pipe, **{"in": 1})
    [letter] = letters_of(system, pipe)
    assert letter["error"]["message"] == (
        f"is array, not object ({schema}@1); an array is one event; several are sent as lines"
        " (application/x-ndjson)"
    )


def test_lines_sent_as_one_event_are_told_how_several_are_sent(
    system: System, dataset: str
) -> None:
    schema = put_schema(system, {"type": "object"})
    pipe = put_pipe(system, schema=schema, to=to_dataset(dataset))

    for body in (b'{"n":1}\n{"n":2}\n', b'{"n":\n'):
        headers = {"Content-Type": "application/json"}
        system.client.post(f"/pipes/{pipe}/events", content=body, headers=headers)

    pipe_when(system, pipe, **{"in": 2})
    hint = "each is an event of its own as application/x-ndjson"
    told = {
        each["event_bytes"]: each["error"]["message"].endswith(hint)
        for each in letters_of(system, pipe)
    }
    assert told == {len(b'{"n":1}\n{"n":2}'): True, len(b'{"n":'): False}
