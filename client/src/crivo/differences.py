"""Compare JSON values, and name the first place where they differ."""

import json
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

_MAX_SHOWN: Final = 120
# Stands for a member or an item that is missing.
MISSING: Final = object()


class Difference(Struct, frozen=True):
    """A place, as a JSON pointer, and the two texts there; a missing value is `nothing`."""

    pointer: str
    expected: str
    found: str

    def __str__(self) -> str:
        """Write it as one line."""
        return f"{self.pointer or '(root)'}: expected {self.expected}, found {self.found}"


def first_difference(expected: object, found: object, pointer: str = "") -> Difference | None:
    """Return the first difference; numbers are compared by value, members in any order."""
    if isinstance(expected, dict) and isinstance(found, dict):
        names = [*expected, *(name for name in found if name not in expected)]
        return _first_of(
            (f"{pointer}/{_escaped(name)}", expected.get(name, MISSING), found.get(name, MISSING))
            for name in names
        )
    if isinstance(expected, list) and isinstance(found, list):
        length = max(len(expected), len(found))
        return _first_of(
            (f"{pointer}/{index}", _item(expected, index), _item(found, index))
            for index in range(length)
        )
    # In Python, true equals 1.
    same_kind = isinstance(expected, bool) == isinstance(found, bool)
    if expected is not MISSING and found is not MISSING and same_kind and expected == found:
        return None
    return Difference(pointer, _shown(expected), _shown(found))


def _first_of(places: Iterable[tuple[str, object, object]]) -> Difference | None:
    differences = (first_difference(mine, theirs, place) for place, mine, theirs in places)
    return next((each for each in differences if each is not None), None)


def _item(items: list[object], index: int) -> object:
    return items[index] if index < len(items) else MISSING


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _shown(value: object) -> str:
    if value is MISSING:
        return "nothing"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"
