"""Read what an export was asked for, and say it in a few words."""

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct, convert, json
from msgspec.structs import replace

from crivo.export_models import Export
from crivo.options import ExportOptions

# Levels that are parts of a time, each within the one before.
GRAINS: Final = ("year", "month", "day", "hour")


class _Deduplicate(Struct, frozen=True, kw_only=True):
    key: str | list[str]
    latest_by: str | None = None


class Choices(Struct, frozen=True, kw_only=True):
    """The members of an export's request that say what it writes, and where.

    Pointers are JSON pointers.
    """

    deduplicate: _Deduplicate | None = None
    partition_by: list[dict[str, str] | str] = []
    columns: dict[str, object] | None = None
    script: str | None = None
    to: str | None = None
    on_bad_row: str | None = None

    def differences(self, earlier: "Choices") -> Sequence[str]:
        """Name the choices of an earlier export that are other ones."""
        own, others = self.written(), earlier.written()
        found = [
            f"{name} {others[name] or '(none)'}, not {own[name] or '(none)'}"
            for name in own
            if own[name] != others[name]
        ]
        # They are many, or long.
        return [*found, "other columns"] if self.pointers() != earlier.pointers() else found

    def key_pointers(self) -> Sequence[str]:
        """Return the pointers to the key."""
        if self.deduplicate is None:
            return []
        key = self.deduplicate.key
        return [key] if isinstance(key, str) else key

    def time_pointers(self) -> Sequence[str]:
        """Return the pointers to the time that decides, and to those of the folders."""
        latest = None if self.deduplicate is None else self.deduplicate.latest_by
        levels = [
            pointer
            for level in self.partition_by
            if not isinstance(level, str)
            for name, pointer in level.items()
            if name in GRAINS
        ]
        return list(dict.fromkeys([*([latest] if latest else []), *levels]))

    def pointer_of(self, column: str) -> object:
        """Return the pointer to what a column has; without chosen ones, each member is one."""
        if self.columns is None:
            return "/" + column.replace("~", "~0").replace("/", "~1")
        return self.pointers().get(column, (None,))[0]

    def facts(self) -> Mapping[str, str]:
        """Return the key, the time that decides and the levels of folders, where there are any."""
        facts = {}
        if self.deduplicate is not None:
            facts["key"] = ",".join(self.key_pointers())
            facts["latest"] = self.deduplicate.latest_by or "the last in file order"
        if self.partition_by:
            facts["levels"] = ",".join(map(_level, self.partition_by))
        return facts

    def missing_columns(self) -> Sequence[str]:
        """Name the key and the time that decides where they are no columns.

        An export can only be continued if its files have them.
        """
        if self.deduplicate is None:
            return []
        latest = self.deduplicate.latest_by
        needed = [*self.key_pointers(), *([latest] if latest else [])]
        if self.columns is None:
            # All members are columns, but none that is nested.
            return [each for each in needed if each.count("/") > 1]
        chosen = {pointer for pointer, _ in self.pointers().values()}
        return [each for each in dict.fromkeys(needed) if each not in chosen]

    def written(self) -> Mapping[str, str]:
        """Return all but the columns in a form to compare."""
        facts = self.facts()
        return {
            "key": facts.get("key", ""),
            "latest": facts.get("latest", ""),
            "levels": ",".join(_level(each, named=True) for each in self.partition_by),
            "script": self.script or "",
        }

    def pointers(self) -> Mapping[str, tuple[object, object]]:
        """Return the pointers and types of the columns in a form to compare."""
        return {
            name: (each.get("pointer"), each.get("type"))
            if isinstance(each, dict)
            else (each, None)
            for name, each in (self.columns or {}).items()
        }


def choices_of(export: Export) -> Choices:
    """Return what an export was asked for."""
    return json.decode(export.request, type=Choices)


def run_choices_of(export: Export) -> Choices:
    """Return what an export was asked for, with the version of the script that it has run."""
    choices, script = choices_of(export), export.script
    if script is None:
        return choices
    return replace(choices, script=f"{script.name}@{script.version}")


def wanted_choices(options: ExportOptions) -> Choices:
    """Return what an export will be asked for."""
    return convert(options, Choices)


def _level(level: Mapping[str, str] | str, *, named: bool = False) -> str:
    """Write a level; a pointer alone has the last name in it."""
    if not isinstance(level, str):
        return ",".join(f"{name}={pointer}" for name, pointer in level.items())
    return f"{level.rpartition('/')[2]}={level}" if named else level
