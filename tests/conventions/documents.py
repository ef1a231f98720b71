"""Read the documents as a newcomer does: their tables, their commands and the answers shown."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from msgspec import Struct

from tests.servers import ROOT

DOCUMENTS: Final = (
    *(ROOT / name for name in ("README.md", "ANSWERS.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    ROOT / "examples" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
)
SCRIPTS: Final = ROOT / "docs" / "scripts.md"
SETTINGS: Final = ROOT / "docs" / "operations.md"

# A block, and the comment that may stand before it.
_BLOCK: Final = re.compile(
    r"(?:^<!-- (?P<mark>[^>]*?) -->\n+)?^```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
_CODE: Final = re.compile(r"^`(.*)`$", re.DOTALL)
_HEREDOC: Final = re.compile(r"<<'(\w+)'")


class Block(Struct, frozen=True):
    """A fenced block: its language, and the comment before it, which says how it is run."""

    language: str
    mark: str
    text: str

    @property
    def not_run(self) -> str:
        """Say why it is not run; empty where it is."""
        return self.mark.partition("not run: ")[2]

    @property
    def refused(self) -> bool:
        """Say whether it shows a refusal of the API."""
        return self.mark.startswith("answers 4")


class Command(Struct, frozen=True):
    """A command as a document has it, and the answer that it shows, if any."""

    text: str
    answer: str


class Failure(Struct, frozen=True):
    """One row of the table of failures; `script` is empty where no script can show the kind."""

    kind: str
    meaning: str
    script: str
    data: str
    limit: str


def blocks(document: Path) -> list[Block]:
    """Give a document's fenced blocks, in their order."""
    return [
        Block(found["language"], found["mark"] or "", found["text"])
        for found in _BLOCK.finditer(document.read_text(encoding="utf-8"))
    ]


def commands(block: Block) -> list[Command]:
    """Give what a block of `sh` or `console` has to be typed: all of it, or what follows a `$`."""
    if block.language == "sh":
        return [Command(block.text, "")]
    return list(_typed_in(block.text))


def failures() -> list[Failure]:
    """Give the rows of the table of failures."""
    _, _, rest = SCRIPTS.read_text(encoding="utf-8").partition("<!-- failures -->\n")
    table, end, _ = rest.partition("<!-- /failures -->")
    assert end
    rows = [[_plain(cell) for cell in _cells(line)] for line in table.splitlines()[2:]]
    return [
        Failure(kind, meaning, script if "process" in script else "", data, limit)
        for kind, meaning, script, data, limit in rows
    ]


def pattern_of_failures() -> tuple[str, str]:
    """Give the line that names a script, its data and a limit, and the commands below it."""
    [block] = [each for each in blocks(SCRIPTS) if each.mark == "pattern of the failures"]
    first, _, rest = block.text.partition("\n")
    return first, rest


def findings() -> dict[str, tuple[str, str]]:
    """Give the table of findings: what each code is, and what it means."""
    lines = SCRIPTS.read_text(encoding="utf-8").splitlines()
    start = lines.index("| a finding's `code` | is | means |")
    rows = [_cells(line) for line in lines[start + 2 :] if line.startswith("|")]
    return {_plain(code): (kind, meaning) for code, kind, meaning in rows}


def _typed_in(text: str) -> Iterator[Command]:
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        lines = part.splitlines()
        length = next(n for n in range(1, len(lines) + 1) if _is_whole("\n".join(lines[:n])))
        yield Command("\n".join(lines[:length]), "\n".join(lines[length:]).strip())


def _is_whole(command: str) -> bool:
    """Say whether a command goes on: while a quote or a here-document is open."""
    heredoc = _HEREDOC.search(command)
    if heredoc is not None:
        return command.endswith(f"\n{heredoc[1]}")
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
