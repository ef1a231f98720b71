"""Frames of a cell that was taken over hold no values beyond those of an honest one."""

import pytest

from app.sandbox.classification import CellVerdict
from app.sandbox.frames import decode_frame
from app.sandbox.outcomes import LogLine
from app.sandbox.protocol import ProtocolError

DIGITS = b"9" * 4_000


@pytest.mark.parametrize(
    "members",
    [
        b'"run_ns": -1, "lines_dropped": 0',
        b'"run_ns": 0, "lines_dropped": ' + DIGITS,
        b'"run_ns": ' + DIGITS + b', "lines_dropped": 0',
        b'"run_ns": 0, "lines_dropped": 0, "byte_offset": ' + DIGITS,
        b'"run_ns": 0, "lines_dropped": 0, "output_bytes": ' + DIGITS,
    ],
)
def test_an_integer_without_bound_is_a_violation(members: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_frame(b'{"kind": "succeeded", ' + members + b"}", CellVerdict)


def test_an_unknown_console_level_is_a_violation() -> None:
    with pytest.raises(ProtocolError):
        decode_frame(b'{"level": "' + b"x" * 100_000 + b'", "text": ""}', LogLine)
