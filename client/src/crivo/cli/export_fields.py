"""Read the names that `crivo export` takes as pointers to members of the records."""

import re
from collections.abc import Collection, Sequence
from typing import Final

from msgspec import DecodeError, Raw, ValidationError, json

from crivo.cli.exit_codes import UsageError

# Each stands for the levels down to it.
_GRAINS: Final = ("year", "month", "day", "hour")
_COLUMN: Final = re.compile(
    r"(?P<name>[^=]+?)(=(?P<member>.+?))?(:(?P<type>[a-z]+(\(\d+,\d+\))?))?", re.DOTALL
)


def has_time_of(levels: Sequence[dict[str, str] | str], pointer: str) -> bool:
    """Return whether one of the levels is a part of the time at a pointer."""
    return any({each: pointer} in levels for each in _GRAINS)


class Fields:
    """The members of the records by name.

    If a record can be seen, a name may also be the end of one after an underscore, as `type` is of
    `event_type`, and a name that it lacks is refused.
    """

    def __init__(self, record: bytes | None) -> None:
        """Take the first record; None: it cannot be seen."""
        self._known: Collection[str] | None = None
        if record is not None:
            try:
                self._known = json.decode(record, type=dict[str, Raw]).keys()
            except (DecodeError, ValidationError):
                # No object, which the service names.
                self._known = None

    def pointer(self, option: str, name: str) -> str:
        """Return the pointer to a member, or a pointer as it is. Raises UsageError."""
        if name.startswith("/"):
            return name
        if self._known is not None and name not in self._known:
            ends = [each for each in self._known if each.endswith(f"_{name}")]
            if len(ends) != 1:
                members = ", ".join(self._known)
                raise UsageError(
                    f"{option}: the first record has no {name}, but {members}; "
                    f"a member that it lacks is named by a pointer such as /{name}"
                )
            [name] = ends
        return "/" + name.replace("~", "~0").replace("/", "~1")

    def levels(self, texts: Sequence[str], latest: str | None) -> list[dict[str, str] | str]:
        """Return the levels of --partition; `latest` is the pointer to the time."""
        levels: list[dict[str, str] | str] = []
        for text in texts:
            name, _, member = text.partition("=")
            pointer = self.pointer("--partition", member) if member else None
            if name in _GRAINS:
                pointer = pointer or latest
                if pointer is None:
                    raise UsageError(f"--partition: {name} is that of --latest, which is missing")
                levels += [{each: pointer} for each in _GRAINS[: _GRAINS.index(name) + 1]]
            elif pointer is not None:
                levels.append({name: pointer})
            else:
                levels.append(self.pointer("--partition", name))
        return levels

    def columns(self, texts: Sequence[str]) -> dict[str, object]:
        """Return the columns of --column, by name."""
        columns: dict[str, object] = {}
        for text in texts:
            found = _COLUMN.fullmatch(text)
            if found is None:
                raise UsageError(f"--column: {text!r} is not NAME, NAME=MEMBER or NAME:TYPE")
            name, type_ = found["name"], found["type"]
            pointer = self.pointer("--column", found["member"] or name)
            columns[name] = pointer if type_ is None else {"pointer": pointer, "type": type_}
        return columns
