"""Say in what an export that was asked for differs from an earlier one."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias
from uuid import UUID

import msgspec

from app.errors import clipped
from app.exports.acceptance_store import EarlierExport
from app.exports.destination_store import ExportThere
from app.exports.plan.model import PartitionColumn, Plan
from app.exports.requests import ColumnChoice, CreateExport

_MAX_NAMED: Final = 5
# A member of the request, and what the one export and the other have there.
_Member: TypeAlias = tuple[str, str, str]


def differences(plan: Plan, destination: str | None, earlier: EarlierExport) -> str:
    """Name the members of the request that differ, with what the earlier one has there.

    A difference in none of them is one of the dataset's schema.
    """
    then = earlier.plan
    members = (
        *_layout(plan, then),
        ("on_bad_row", plan.on_bad_row, then.on_bad_row),
        ("max_bad_rows", str(plan.max_bad_rows), str(then.max_bad_rows)),
        ("to", destination or "none", earlier.destination or "none"),
        ("script", "none", "one" if earlier.has_script else "none"),
    )
    now, before = ({each.name: each for each in of.columns} for of in (plan, then))
    return ", ".join((*_named(members), *_other_columns(now, before)))


def differences_there(
    wanted: CreateExport,
    plan: Plan,
    there: ExportThere,
    *,
    script_id: UUID | None,
    script_version: int | None,
) -> str:
    """Name the choices of an export whose rows are other ones than those that it would replace.

    Another version of the script is one, also if an alias has been moved to it. A newer schema of
    the dataset is no choice, nor is what becomes of bad rows.
    """
    then = msgspec.json.decode(there.request, type=CreateExport)
    found = list(_named(_layout(plan, there.plan)))
    if (script_id, script_version) != (there.script_id, there.script_version):
        is_version = script_id == there.script_id
        named = "none" if there.script is None else f"{there.script}@{there.script_version}"
        found.append(f"`script` ({named} there{f', @{script_version} here' if is_version else ''})")
    found += _other_columns(_asked(wanted), _asked(then))
    return ", ".join(found)


def _layout(plan: Plan, then: Plan) -> Iterator[_Member]:
    yield "deduplicate/key", _listed(plan.key), _listed(then.key)
    yield "deduplicate/latest_by", plan.latest_by or "none", then.latest_by or "none"
    yield "partition_by", _levels(plan), _levels(then)


def _named(members: Iterable[_Member]) -> Iterator[str]:
    for name, here, there in members:
        if here != there:
            yield f"`{name}` ({clipped(there)} there)"


def _other_columns(now: Mapping[str, object], before: Mapping[str, object]) -> Iterator[str]:
    names = [each for each in {**now, **before} if now.get(each) != before.get(each)]
    if not now or not before:
        names = ["named there" if before else "all members there"] if names else []
    elif not names and list(now) != list(before):
        names = ["in another order"]
    if names:
        more = "" if len(names) <= _MAX_NAMED else f" and {len(names) - _MAX_NAMED} others"
        shown = ", ".join(clipped(name) for name in names[:_MAX_NAMED])
        yield f"`columns` ({shown}{more})"


def _asked(request: CreateExport) -> Mapping[str, object]:
    return {
        name: each if isinstance(each, ColumnChoice) else ColumnChoice(pointer=each)
        for name, each in (request.columns or {}).items()
    }


def _levels(plan: Plan) -> str:
    return _listed([_level(each) for each in plan.partition_by])


def _level(level: PartitionColumn) -> str:
    return f"{level.name}={level.pointer}"


def _listed(texts: Sequence[str]) -> str:
    return ",".join(texts) or "none"
