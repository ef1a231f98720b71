"""Read the names that `crivo export` takes as pointers to members of the records."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from msgspec import DecodeError, ValidationError, json

from crivo.cli.exit_codes import UsageError
from crivo.cli.export_choices import GRAINS

_COLUMN_OPTION: Final = "--column"
_COLUMN: Final = re.compile(
    r"(?P<name>[^=]+?)(=(?P<member>.+?))?(:(?P<type>[a-z]+(\(\d+,\d+\))?))?", re.DOTALL
)


def has_time_of(levels: Sequence[dict[str, str] | str], pointer: str) -> bool:
    """Return whether one of the levels is a part of the time at a pointer."""
    return any({each: pointer} in levels for each in GRAINS)


class Fields:
    """The members of the records by name.

    If a record can be seen, a name may also be the end of one after an underscore, as `type` is of
    `event_type`, unless a nested member is named so. A name that it lacks is refused. `lacking` has
    the pointers to keys, times and levels that it lacks, each with the reason to doubt it.
    """

    def __init__(self, record: bytes | None) -> None:
        """Take the first record; None: it cannot be seen."""
        self.lacking: dict[str, str] = {}
        self._known: Mapping[str, object] | None = None
        self._nested: Collection[Sequence[str]] = ()
        if record is not None:
            try:
                members = json.decode(record, type=dict[str, Any])
            except (DecodeError, ValidationError):
                # No object, which the service names.
                return
            self._known = members
            self._nested = [path for path in _paths(members, ()) if len(path) > 1]

    def pointer(self, option: str, name: str) -> str:
        """Return the pointer to a member, or a pointer as it is. Raises UsageError."""
        if name.startswith("/"):
            self._look_up(option, name)
            return name
        if self._known is None or name in self._known:
            return _pointer((name,))
        found: list[Sequence[str]] = [(each,) for each in self._known if each.endswith(f"_{name}")]
        found += [
            each for each in self._nested if name in (each[-1], ".".join(each), "/".join(each))
        ]
        match [_pointer(each) for each in found]:
            case [only] if len(found[0]) == 1:
                return only
            case []:
                members = ", ".join(self._known)
                raise UsageError(
                    f"{option}: the first record has no {name}, but {members}; "
                    f"a member that it lacks is named by a pointer such as {_pointer((name,))}"
                )
            case pointers:
                raise UsageError(
                    f"{option}: the first record has no {name}; it may be {' or '.join(pointers)}"
                )

    def _look_up(self, option: str, pointer: str) -> None:
        # A column may be of later records only; at the end it is named if no row has a value.
        if self._known is None or option == _COLUMN_OPTION:
            return
        value: object = self._known
        members: Iterable[str] = ()
        for token in pointer[1:].split("/"):
            name = token.replace("~1", "/").replace("~0", "~")
            match value:
                case dict() if name in value:
                    value = value[name]
                case list() if name.isdecimal() and int(name) < len(value):
                    value = value[int(name)]
                case _:
                    members = value if isinstance(value, dict) else self._known
                    break
        else:
            return
        self.lacking[pointer] = (
            f"{option}: the first record has no {pointer}, but {', '.join(members)}"
        )

    def members(self, option: str, text: str) -> list[str]:
        """Return the pointers to members with commas between. Raises UsageError."""
        return list(dict.fromkeys(self.pointer(option, each) for each in _names(text)))

    def levels(self, text: str, latest: str | None) -> list[dict[str, str] | str]:
        """Return the levels of --partition, each once; `latest` is the pointer to the time."""
        levels: list[dict[str, str] | str] = []
        for each in _names(text):
            name, _, member = map(str.strip, each.partition("="))
            pointer = self.pointer("--partition", member) if member else None
            if name in GRAINS:
                # It stands for the levels down to it.
                pointer = pointer or latest
                if pointer is None:
                    raise UsageError(f"--partition: {name} is that of --latest, which is missing")
                levels += [{grain: pointer} for grain in GRAINS[: GRAINS.index(name) + 1]]
            elif pointer is not None:
                levels.append({name: pointer})
            else:
                levels.append(self.pointer("--partition", name))
        return [level for at, level in enumerate(levels) if level not in levels[:at]]

    def columns(self, texts: Sequence[str]) -> dict[str, object]:
        """Return the columns of --column, by name."""
        columns: dict[str, object] = {}
        for text in texts:
            found = _COLUMN.fullmatch(text)
            if found is None:
                raise UsageError(f"--column: {text!r} is not NAME, NAME=MEMBER or NAME:TYPE")
            name, type_ = found["name"], found["type"]
            try:
                pointer = self.pointer(_COLUMN_OPTION, found["member"] or name)
            except UsageError as error:
                if "," not in name:
                    raise
                raise UsageError(f"{error}; --column is repeated for each column") from None
            column = pointer if type_ is None else {"pointer": pointer, "type": type_}
            if columns.setdefault(name, column) != column:
                raise UsageError(f"--column: {name} is given twice, and not equally")
        return columns


def _names(text: str) -> list[str]:
    return [each.strip() for each in text.split(",")]


def _pointer(names: Iterable[str]) -> str:
    return "".join("/" + each.replace("~", "~0").replace("/", "~1") for each in names)


def _paths(value: object, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yield the names down to each member, but not those in arrays."""
    if path:
        yield path
    if isinstance(value, dict):
        for name, member in value.items():
            yield from _paths(member, (*path, name))
