"""Errors repeat only a bounded part of what a client sent."""

import json

import msgspec
import pytest

from app.errors import InvalidRequest
from app.executions.envelope import Envelope
from app.http.problems import document
from app.validation import decode_json


@pytest.mark.parametrize("name", ["~", "\1", " - at `", "k~/"])
def test_no_error_repeats_a_long_name(name: str) -> None:
    long = json.dumps(name * 100_000).encode()
    for body in (
        b'{"script":"x","data":1,"limits":{%b:1}}',
        b'{"script":"x","data":1,%b:1}',
        b'{"script":%b,"data":1,"seed":-1}',
    ):
        with pytest.raises(InvalidRequest) as caught:
            decode_json(body.replace(b"%b", long), Envelope)

        assert len(msgspec.json.encode(document(caught.value))) < 4_000
        for error in caught.value.errors:
            assert len(str(error["pointer"])) < 300
            assert len(str(error["message"])) < 500


def test_a_long_name_is_reported_at_its_pointer() -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode_json(b'{"script":"x","data":1,"limits":{"%b":1}}' % (b"a" * 9_000), Envelope)

    [error] = caught.value.errors
    assert error["pointer"] == f"/limits/{'a' * 100}…"
    assert error["message"] == f"`{'a' * 60}…` is unknown here"


@pytest.mark.parametrize("number", ["1" * 9_000, "1e" + "9" * 900, "1." + "1" * 9_000])
def test_a_number_out_of_range_is_named(number: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode_json(b'{"script":"x","data":1,"seed":%b}' % number.encode(), Envelope)

    [error] = caught.value.errors
    assert error["pointer"] == "/seed"
    assert len(str(error["message"])) < 200
