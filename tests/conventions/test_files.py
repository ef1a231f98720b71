"""Files contain no path of a machine and no unfinished work."""

import re
from typing import Final

import pytest

from tests.conventions.sources import FILES
from tests.support.servers import ROOT

# Written so that this file passes.
_TRACES: Final = re.compile(
    r"(?<![\w.])/(root|work|home/\w+|Users/\w+)/|\b(TO[D]O|FIX[M]E|X[X]X)\b"
)


def test_files_are_found() -> None:
    assert {"pyproject.toml", "app/main.py", ".ci/run", "scripts/test"} <= set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_a_file_holds_no_traces(name: str) -> None:
    # An image may hold any bytes.
    text = (ROOT / name).read_text(encoding="utf-8", errors="replace")

    assert [match.group() for match in _TRACES.finditer(text)] == []
