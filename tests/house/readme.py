"""Read README.md as a newcomer does: its tables, its console commands and their answers."""

import re
import shlex
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from tests.servers import ROOT

README: Final = ROOT / "README.md"
_CONSOLE: Final = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_CODE: Final = re.compile(r"^`(.*)`$", re.DOTALL)


class Failure(Struct, frozen=True):
    """One row of the table of failures; `script` is empty where no script can show the kind."""

    kind: str
    meaning: str
    script: str
    data: str
    limit: str


class Typed(Struct, frozen=True):
    """A command as the README has it, and the answer that it shows."""

    command: str
    answer: str


def failures() -> list[Failure]:
    """Give the rows of the table of failures."""
    _, _, rest = README.read_text(encoding="utf-8").partition("<!-- failures -->\n")
    table, end, _ = rest.partition("<!-- /failures -->")
    assert end
    rows = [[_plain(cell) for cell in _cells(line)] for line in table.splitlines()[2:]]
    return [
        Failure(kind, meaning, script if "process" in script else "", data, limit)
        for kind, meaning, script, data, limit in rows
    ]


def typed() -> list[Typed]:
    """Give the console's commands, in their order."""
    return [
        each
        for block in _CONSOLE.findall(README.read_text(encoding="utf-8"))
        for each in _typed_in(block)
    ]


def _typed_in(block: str) -> Iterator[Typed]:
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        lines = part.splitlines()
        # A command goes on while a quote is open.
        length = next(n for n in range(1, len(lines) + 1) if _is_whole("\n".join(lines[:n])))
        yield Typed("\n".join(lines[:length]), "\n".join(lines[length:]).strip())


def _is_whole(command: str) -> bool:
    try:
        shlex.split(command)
    except ValueError:
        return False
    return True


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split("|")]


def _plain(cell: str) -> str:
    found = _CODE.match(cell)
    return found[1] if found else cell
