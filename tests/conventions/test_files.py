"""Files contain no path of a machine and no unfinished work."""

import re
from typing import Final

from tests.conventions.sources import FILES
from tests.support.servers import ROOT

# Written so that this file passes.
_TRACES: Final = re.compile(
    r"(?<![\w.])/(root|work|home/\w+|Users/\w+)/|\b(TO[D]O|FIX[M]E|X[X]X)\b"
)


def test_files_are_found() -> None:
    assert {"pyproject.toml", "app/main.py", ".ci/run", "scripts/test"} <= set(FILES)


def test_no_file_holds_traces() -> None:
    found = {name: _traces((ROOT / name).read_bytes()) for name in FILES}

    assert {name: traces for name, traces in found.items() if traces} == {}


def test_traces_are_recognised() -> None:
    home, unfinished = f"/{'home'}/somebody/", f"TO{'DO'}"

    assert _traces(f"in {home}code: {unfinished}".encode() + b"\xff") == [home, unfinished]
    assert _traces(b"at /homework, ./work/one") == []


def _traces(content: bytes) -> list[str]:
    # An image may hold any bytes.
    text = content.decode(errors="replace")
    return [match.group() for match in _TRACES.finditer(text)]
