"""Write results to standard output, and messages to standard error."""

import codecs
import json as standard_json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from itertools import chain, islice
from typing import Final, TypeVar

from msgspec import Struct, json
from rich.console import Console
from rich.text import Text

from crivo.cli.tables import lay_out

T = TypeVar("T")

# As many as a page of the API can have.
_MAX_PAGE: Final = 200
_MAX_SHOWN: Final = 120
_CONTROLS: Final = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
_KEPT: Final = {ord("\n"), ord("\t")}
# Marks that reorder the text around them.
_REORDERING: Final = {
    code: f"\\u{code:04x}"
    for code in (0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
}
_VISIBLE: Final = {
    code: text for code, text in (_CONTROLS | _REORDERING).items() if code not in _KEPT
}


class DefaultLimit(int):
    """How many items of a list are shown where nobody has said how many."""


DEFAULT_LIMIT: Final = DefaultLimit(20)


class Output(Struct, frozen=True, kw_only=True):
    """The form of the output: JSON, a table on a terminal, else lines of tab-separated values."""

    as_json: bool = False

    def document(self, value: object, text: str) -> None:
        """Write one value: as JSON, or as the text that stands for it."""
        if self.as_json:
            write_json(value)
        else:
            write_line(text)

    def facts(self, value: object, facts: Mapping[str, object]) -> None:
        """Write one value: as JSON, or as its facts, one a line, without those that are None."""
        if self.as_json:
            write_json(value)
            return
        for name, fact in facts.items():
            if fact is not None:
                write_line(f"{name:12} {_local(fact) if sys.stdout.isatty() else _zulu(fact)}")

    def items(
        self,
        columns: Sequence[str],
        items: Iterable[T],
        cells: Callable[[T], Sequence[object]],
        *,
        limit: int,
        drop: Sequence[str] = (),
    ) -> None:
        """Write a list up to a limit, where 0 means all; `cells` stand for an item.

        That there are more is said where the limit is none that was asked for.
        """
        found = iter(items)
        self.rows(
            columns, ((each, cells(each)) for each in islice(found, limit or None)), drop=drop
        )
        is_asked = not isinstance(limit, DefaultLimit)
        if not is_asked and not self.as_json and next(found, None) is not None:
            say(f"crivo: there are more than these {limit:,}; --limit 0 lists all")

    def rows(
        self,
        columns: Sequence[str],
        rows: Iterable[tuple[object, Sequence[object]]],
        *,
        drop: Sequence[str] = (),
    ) -> None:
        """Write a list: each value as JSON, or as the cells that stand for it.

        A narrow terminal goes without the columns of `drop` first, then without those on the right.
        """
        if self.as_json:
            for value, _ in rows:
                write_json(value)
        elif sys.stdout.isatty():
            _write_table(columns, (cells for _, cells in rows), drop=drop)
        else:
            for _, cells in rows:
                write_line("\t".join(_cell(_zulu(each)) for each in cells))


def page_size(limit: int) -> int:
    """Return how many items to ask for at once, of a list up to a limit, where 0 means all."""
    # One more, which says whether there are more.
    return min(limit + 1 if limit else _MAX_PAGE, _MAX_PAGE)


@cache
def terminal() -> Console:
    """The console of messages: standard error."""
    return Console(stderr=True, highlight=False, soft_wrap=True, markup=False)


def write_json(value: object) -> None:
    """Write a value as one line of JSON."""
    sys.stdout.buffer.write(json.encode(value) + b"\n")
    sys.stdout.buffer.flush()


def write_line(text: str) -> None:
    """Write a line of text, without control characters that others could have put there."""
    sys.stdout.write(f"{visible(text)}\n")
    sys.stdout.flush()


def write_bytes(chunks: Iterator[bytes]) -> None:
    """Write exact bytes; a terminal gets no control characters, and a newline at the end."""
    if sys.stdout.isatty():
        _write_visibly(chunks)
        return
    for chunk in chunks:
        sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()


def _write_visibly(chunks: Iterator[bytes]) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")(errors="backslashreplace")
    ends_line = True
    for chunk in chain(filter(None, chunks), [b""]):
        text = visible(decoder.decode(chunk, final=not chunk))
        sys.stdout.write(text)
        ends_line = text.endswith("\n") if text else ends_line
    if not ends_line:
        sys.stdout.write("\n")
    sys.stdout.flush()


def say(text: str, *, style: str = "") -> None:
    """Write a message to standard error."""
    terminal().print(Text(visible(text), style=style))


def say_json(value: object) -> None:
    """Write a value as one line of JSON to standard error."""
    sys.stderr.write(json.encode(value).decode() + "\n")


def counted(count: int, noun: str) -> str:
    """Write a number with its noun, in the plural where it is not one."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def visible(text: str) -> str:
    """Replace control characters: a script's text must not move a terminal's cursor."""
    return text.translate(_VISIBLE)


def clipped(text: str) -> str:
    """Shorten a text for one line."""
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


def indented(value: bytes) -> str:
    """Lay out JSON for a reader."""
    document = standard_json.loads(value)
    text = standard_json.dumps(document, indent=2, ensure_ascii=False)
    # Half of a surrogate pair has no bytes, only an escape.
    is_encodable = not any("\ud800" <= each <= "\udfff" for each in text)
    return text if is_encodable else standard_json.dumps(document, indent=2)


def _write_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, drop: Sequence[str]
) -> None:
    console = Console(highlight=False)
    texts = [[visible(_cell(_local(each))) for each in cells] for cells in rows]
    table, left_out = lay_out(columns, texts, width=console.width, drop=drop)
    console.print(table)
    if left_out:
        say(
            f"crivo: there is no room for {', '.join(left_out)}: a wider terminal shows them, and "
            "--json"
        )


def _local(value: object) -> object:
    """Write a time as the clock of a reader shows it."""
    return f"{value.astimezone():%Y-%m-%d %H:%M:%S}" if isinstance(value, datetime) else value


def _zulu(value: object) -> object:
    """Write a time for programs."""
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return value


def _cell(value: object) -> str:
    return "" if value is None else str(value).replace("\t", " ").replace("\n", " ")
