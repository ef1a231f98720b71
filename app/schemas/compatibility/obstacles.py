"""Say what is in the way of a proof; compare the bounds of numbers, texts and sizes."""

from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from app.schemas.compatibility.clauses import Clause
from app.schemas.compatibility.reading import is_multiple
from app.schemas.library import At

MAX_SHOWN: Final = 60
"""Characters of a name or a value in a message."""


class Obstacle(Struct, frozen=True):
    """What is in the way of a proof: a demand of the schema that may refuse, and where it is."""

    at: At | None
    message: str


def shown(text: str) -> str:
    """Return a text for a message: many of them may show the same long name."""
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 1]}…"


def numbers(a: Clause, b: Clause) -> Iterator[Obstacle]:
    """Yield what keeps the numbers of one clause out of the other."""
    whole = a.integer or any(of % 1 == 0 for of in a.multiples)
    if b.integer and not whole:
        yield Obstacle(b.at("type"), "demands an integer")
    if b.lower is not None and not _is_above(a.lower, b.lower):
        yield Obstacle(b.at("minimum", "exclusiveMinimum"), f"demands at least {b.lower[0]}")
    if b.upper is not None and not _is_below(a.upper, b.upper):
        yield Obstacle(b.at("maximum", "exclusiveMaximum"), f"demands at most {b.upper[0]}")
    for of in b.multiples:
        integers = a.integer and is_multiple(1, of)
        if not integers and not any(is_multiple(mine, of) for mine in a.multiples):
            yield Obstacle(b.at("multipleOf"), f"demands a multiple of {of}")


def texts(a: Clause, b: Clause) -> Iterator[Obstacle]:
    """Yield what keeps the texts of one clause out of the other."""
    yield from sizes(a, b, "minLength", "maxLength", "characters")
    for pattern in sorted(b.patterns - a.patterns):
        yield Obstacle(b.at("pattern"), f"demands the pattern {shown(pattern)}")
    for name in sorted(b.formats - a.formats):
        yield Obstacle(b.at("format"), f"demands the format {name}")


def _is_above(a: tuple[float, bool] | None, b: tuple[float, bool]) -> bool:
    return a is not None and (a[0] > b[0] or (a[0] == b[0] and (a[1] or not b[1])))


def _is_below(a: tuple[float, bool] | None, b: tuple[float, bool]) -> bool:
    return a is not None and (a[0] < b[0] or (a[0] == b[0] and (a[1] or not b[1])))


def sizes(a: Clause, b: Clause, least: str, most: str, unit: str) -> Iterator[Obstacle]:
    """Yield what keeps the sizes of one clause out of the other's bounds."""
    if a.min_size < b.min_size and len(a.required) < b.min_size:
        yield Obstacle(b.at(least), f"demands at least {b.min_size} {unit}")
    if b.max_size is not None and (a.max_size is None or a.max_size > b.max_size):
        yield Obstacle(b.at(most), f"demands at most {b.max_size} {unit}")
