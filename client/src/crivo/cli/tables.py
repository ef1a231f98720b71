"""Lay out tables for the width of a terminal.

Numbers, times, ids and short words are never broken. Where columns do not fit, those of least
worth are left out.
"""

import re
from collections.abc import Sequence
from typing import Final

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

# Numbers and times; ids and digests.
_WHOLE: Final = re.compile(r"[-+\d.,:eE%/ ]+|[0-9a-fA-F-]{32,64}")
# Longer words, such as paths, may be broken, and texts of several words at this width.
_SHORT: Final = 20
_GAP: Final = 2


def lay_out(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    width: int,
    drop: Sequence[str] = (),
) -> tuple[Table, Sequence[str]]:
    """Return a table of the columns that fit, and the names of the others.

    Of least worth are the columns of `drop`, the first most so, and then those to the right.
    """
    cells = list(zip(*rows, strict=True)) if rows else [() for _ in columns]
    natural = [
        max(map(cell_len, (name, *texts))) for name, texts in zip(columns, cells, strict=True)
    ]
    least = [
        max(cell_len(name), *map(_least, texts), 0)
        for name, texts in zip(columns, cells, strict=True)
    ]
    shown = _chosen(columns, least, width=width, drop=drop)
    widths = _shared(shown, least, natural, width=width)
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, _GAP, 0, 0))
    for at in shown:
        table.add_column(columns[at], overflow="fold", width=widths[at])
    for row in rows:
        table.add_row(*(Text(row[at]) for at in shown))
    return table, [name for at, name in enumerate(columns) if at not in shown]


def _least(text: str) -> int:
    """Return the width that a cell needs at least."""
    if _WHOLE.fullmatch(text):
        return cell_len(text)
    words = (
        cell_len(word) if _WHOLE.fullmatch(word) else min(cell_len(word), _SHORT)
        for word in text.split()
    )
    return max(*words, min(cell_len(text), _SHORT), 0)


def _chosen(
    columns: Sequence[str], least: Sequence[int], *, width: int, drop: Sequence[str]
) -> Sequence[int]:
    """Return the places of the columns that fit, by their worth; the first always does."""
    first, *others = range(len(columns))
    worth = [at for at in others if columns[at] not in drop]
    worth += [at for name in reversed(drop) for at in others if columns[at] == name]
    shown, left = [first], width - least[first]
    for at in worth:
        if least[at] + _GAP <= left:
            shown.append(at)
            left -= least[at] + _GAP
    return sorted(shown)


def _shared(
    shown: Sequence[int], least: Sequence[int], natural: Sequence[int], *, width: int
) -> dict[int, int]:
    """Return the widths of columns: what is left goes to those that lack most."""
    widths = {at: least[at] for at in shown}
    left = width - sum(widths.values()) - _GAP * (len(shown) - 1)
    for _ in range(left):
        lacks = max(shown, key=lambda at: natural[at] - widths[at])
        if natural[lacks] <= widths[lacks]:
            break
        widths[lacks] += 1
    return widths
