"""Read what an export was asked for, and say it in a few words."""

from collections.abc import Mapping

from msgspec import Struct, json

from crivo.export_models import Export


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

    def facts(self) -> Mapping[str, str]:
        """Return the key, the time that decides and the levels of folders, where there are any."""
        facts = {}
        if self.deduplicate is not None:
            key = self.deduplicate.key
            facts["key"] = key if isinstance(key, str) else ",".join(key)
            facts["latest"] = self.deduplicate.latest_by or "the last in file order"
        if self.partition_by:
            facts["levels"] = ",".join(map(_level, self.partition_by))
        return facts


def choices_of(export: Export) -> Choices:
    """Return what an export was asked for."""
    return json.decode(export.request, type=Choices)


def _level(level: Mapping[str, str] | str) -> str:
    if isinstance(level, str):
        return level
    return ",".join(f"{name}={pointer}" for name, pointer in level.items())
