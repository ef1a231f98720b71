"""Tables on narrow terminals: what is copied stays whole, and the rest makes room."""

from collections.abc import Sequence
from io import StringIO
from typing import Final
from uuid import uuid4

import pytest
from rich.console import Console

from crivo.cli.tables import lay_out
from tests.support.crivo_command import CrivoCommand
from tests.support.system import System

ID: Final = "01a1fbeb-e349-7359-851e-28a65d1b7be4"
COLUMNS: Final = ("id", "kind", "failed", "attempts", "error")
ROWS: Final = (
    (ID, "bad_row", "2021-01-14 10:00:00", "24700", "a reason that is long, with many more words"),
)


def written(width: int, drop: Sequence[str] = ("attempts", "failed")) -> str:
    table, _ = lay_out(COLUMNS, ROWS, width=width, drop=drop)
    file = StringIO()
    Console(file=file, width=width, highlight=False).print(table)
    lines = file.getvalue().splitlines()
    assert all(len(line) <= max(width, len(ID)) for line in lines)
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (160, {"bad_row", "2021-01-14 10:00:00", "24700", "long,", "long, with many more words"}),
        (110, {"bad_row", "2021-01-14 10:00:00", "24700", "long,"}),
        (97, {"bad_row", "2021-01-14 10:00:00", "long,"}),
        (80, {"bad_row", "24700", "long,"}),
        (67, {"bad_row", "long,"}),
        (50, {"bad_row"}),
        (20, set()),
    ],
)
def test_columns_of_least_worth_are_left_out(width: int, shown: set[str]) -> None:
    text = written(width)

    texts = (*ROWS[0][1:4], "long,", "long, with many more words")
    assert {each for each in texts if each in text} == shown
    assert (ID in text) == (width >= len(ID))


def test_a_list_says_what_it_leaves_out(crivo: CrivoCommand, system: System) -> None:
    name = f"narrow-{uuid4().hex[:8]}"
    system.upload(name, b"function process(data) { return data }")
    for _ in range(21):
        system.submit(name, b"1")

    shown = crivo.in_terminal("executions", "list", "--script", name, COLUMNS="60").text
    piped = crivo("executions", "list", "--script", name)
    asked = crivo("executions", "list", "--script", name, "--limit", "1")
    whole = crivo("executions", "list", "--script", name, "--limit", "0")

    assert "no room for status, created" in shown
    assert "more than these 20; --limit 0 lists all" in shown
    assert (len(piped.text.splitlines()), "more than these 20" in piped.err) == (20, True)
    assert (len(asked.text.splitlines()), asked.err) == (1, "")
    assert (len(whole.text.splitlines()), whole.err) == (21, "")
