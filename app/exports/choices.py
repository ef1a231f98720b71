"""Say in what an export that was asked for differs from an earlier one."""

from collections.abc import Iterator, Sequence
from typing import Final

from app.errors import clipped
from app.exports.acceptance_store import EarlierExport
from app.exports.plan.model import ExportColumn, PartitionColumn, Plan

_MAX_NAMED: Final = 5


def differences(plan: Plan, destination: str | None, earlier: EarlierExport) -> str:
    """Name the members of the request that differ, with what the earlier one has there.

    A difference in none of them is one of the dataset's schema.
    """
    then = earlier.plan
    found = [
        f"`{name}` ({clipped(there)} there)"
        for name, here, there in (
            ("deduplicate/key", _listed(plan.key), _listed(then.key)),
            ("deduplicate/latest_by", plan.latest_by or "none", then.latest_by or "none"),
            ("partition_by", _levels(plan), _levels(then)),
            ("on_bad_row", plan.on_bad_row, then.on_bad_row),
            ("max_bad_rows", str(plan.max_bad_rows), str(then.max_bad_rows)),
            ("to", destination or "none", earlier.destination or "none"),
            ("script", "none", "one" if earlier.has_script else "none"),
        )
        if here != there
    ]
    if names := list(_other_columns(plan.columns, then.columns)):
        more = "" if len(names) <= _MAX_NAMED else f" and {len(names) - _MAX_NAMED} others"
        shown = ", ".join(clipped(name) for name in names[:_MAX_NAMED])
        found.append(f"`columns` ({shown}{more})")
    return ", ".join(found)


def _other_columns(here: Sequence[ExportColumn], there: Sequence[ExportColumn]) -> Iterator[str]:
    if [each.name for each in here] != [each.name for each in there] and (not here or not there):
        yield "named there" if there else "all members there"
        return
    before = {each.name: each for each in there}
    now = {each.name: each for each in here}
    names = [each for each in {**now, **before} if now.get(each) != before.get(each)]
    if not names and list(now) != list(before):
        names = ["in another order"]
    yield from names


def _levels(plan: Plan) -> str:
    return _listed([_level(each) for each in plan.partition_by])


def _level(level: PartitionColumn) -> str:
    return f"{level.name}={level.pointer}"


def _listed(texts: Sequence[str]) -> str:
    return ",".join(texts) or "none"
