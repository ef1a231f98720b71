"""Parse the documents: code blocks, commands with their expected output, and tables."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from msgspec import Struct

from tests.support.servers import ROOT

DOCUMENTS: Final = (
    *(ROOT / name for name in ("README.md", "ANSWERS.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    ROOT / "examples" / "README.md",
    ROOT / "client" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / ".github").glob("*.md")),
)
SCRIPTS: Final = ROOT / "docs" / "scripts.md"
SETTINGS: Final = ROOT / "docs" / "operations.md"

# A block, and the optional comment before it.
_BLOCK: Final = re.compile(
    r"(?:^<!-- (?P<comment>[^>]*?) -->\n+)?^```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
_CODE: Final = re.compile(r"^`(.*)`$", re.DOTALL)
_HEREDOC: Final = re.compile(r"<<'(\w+)'")


class Block(Struct, frozen=True):
    """A fenced block: its language, and the comment before it, which controls how it runs."""

    language: str
    comment: str
    text: str

    @property
    def not_run(self) -> str:
        """Return why the block is not run; empty if it runs."""
        return self.comment.partition("not run: ")[2]

    @property
    def refused(self) -> bool:
        """Return whether the API refuses a request of this block."""
        return self.comment.startswith("answers 4")

    @property
    def fails(self) -> bool:
        """Return whether a command of this block fails, and shows why."""
        return self.comment.startswith("exits ")


class Command(Struct, frozen=True):
    """A command as the document has it, and its expected output, if shown."""

    text: str
    answer: str


class Failure(Struct, frozen=True):
    """One row of the table of failures; `script` is empty if no script can show the kind."""

    kind: str
    meaning: str
    script: str
    data: str
    limit: str


def blocks(document: Path) -> list[Block]:
    """Return a document's fenced blocks, in order."""
    return [
        Block(match["language"], match["comment"] or "", match["text"])
        for match in _BLOCK.finditer(document.read_text(encoding="utf-8"))
    ]


def commands(block: Block) -> list[Command]:
    """Return the commands of a block: all of a `sh` block, what follows `$` in `console`."""
    if block.language == "sh":
        return [Command(block.text, "")]
    return list(_console_commands(block.text))


def failures() -> list[Failure]:
    """Return the rows of the table of failures."""
    _, _, rest = SCRIPTS.read_text(encoding="utf-8").partition("<!-- failures -->\n")
    table, end, _ = rest.partition("<!-- /failures -->")
    assert end
    rows = [[_plain(cell) for cell in _cells(line)] for line in table.splitlines()[2:]]
    return [
        Failure(kind, meaning, script if "process" in script else "", data, limit)
        for kind, meaning, script, data, limit in rows
    ]


def pattern_of_failures() -> tuple[str, str]:
    """Return the line that assigns a script, its data and a limit, and the commands below it."""
    [block] = [each for each in blocks(SCRIPTS) if each.comment == "pattern of the failures"]
    first, _, rest = block.text.partition("\n")
    return first, rest


def findings() -> dict[str, tuple[str, str]]:
    """Return the severity and meaning of each finding code."""
    lines = SCRIPTS.read_text(encoding="utf-8").splitlines()
    start = lines.index("| a finding's `code` | is | means |")
    rows = [_cells(line) for line in lines[start + 2 :] if line.startswith("|")]
    return {_plain(code): (kind, meaning) for code, kind, meaning in rows}


def _console_commands(text: str) -> Iterator[Command]:
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        lines = part.splitlines()
        length = next(n for n in range(1, len(lines) + 1) if _is_complete("\n".join(lines[:n])))
        yield Command("\n".join(lines[:length]), "\n".join(lines[length:]).strip())


def _is_complete(command: str) -> bool:
    """Return whether no quote or here-document is left open."""
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
    match = _CODE.match(cell)
    return match[1] if match else cell
