"""Make the plan of an export from what is asked for and the schema of its dataset."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

import msgspec

from app.errors import clipped, invalid
from app.exports.columns import columns_of
from app.exports.destinations import max_folder_bytes
from app.exports.plan.model import JSON_TEXT, Grain, PartitionColumn, Plan
from app.exports.pointers import checked_tokens
from app.exports.requests import CreateExport, Deduplicate
from app.sandbox.schema_checks import SchemaSet
from app.schemas.ddl.mapping import columns
from app.schemas.ddl.types import Field, NoType
from app.schemas.document import SchemaProblem, read_document
from app.schemas.threads import in_describing_thread

# What every reader of Hive's folders takes without quotes.
_PARTITION_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")

_MOMENTS: Final = (Grain.YEAR, Grain.MONTH, Grain.DAY, Grain.HOUR)


async def fields_of(uri: str, schemas: SchemaSet) -> Sequence[Field]:
    """Return the members that a schema registers at its root, those without a type as JSON text.

    None of them, if it is not a schema of objects, or too deep: then types are inferred.
    """
    return await in_describing_thread(partial(_read_fields, uri, schemas))


def plan_of(wanted: CreateExport, fields: Sequence[Field], destination: str | None) -> Plan:
    """Return what an export does to rows. Raises InvalidRequest."""
    key, latest_by = _deduplication(wanted.deduplicate)
    partitions = _partitions(wanted.partition_by, latest_by)
    return Plan(
        key=key,
        latest_by=latest_by,
        partition_by=partitions,
        columns=columns_of(wanted, fields, partitions),
        on_bad_row=wanted.on_bad_row,
        max_bad_rows=wanted.max_bad_rows,
        max_folder_bytes=max_folder_bytes(destination, partitions),
        of_script=wanted.script is not None,
    )


def hash_of(plan: Plan, destination: str | None) -> bytes:
    """Return what equals that of another export if this one can continue it."""
    return hashlib.sha256(msgspec.json.encode((plan, destination))).digest()


def _read_fields(uri: str, schemas: SchemaSet) -> Sequence[Field]:
    try:
        document = read_document(uri, schemas.documents, strict=schemas.strict)
        return columns(document, untyped=JSON_TEXT)
    except (NoType, SchemaProblem):
        return ()


def _deduplication(wanted: Deduplicate | None) -> tuple[Sequence[str], str | None]:
    if wanted is None:
        return (), None
    place = "/deduplicate/key"
    is_one = isinstance(wanted.key, str)
    key = [wanted.key] if isinstance(wanted.key, str) else wanted.key
    for index, pointer in enumerate(key):
        checked_tokens(pointer, place if is_one else f"{place}/{index}")
    if len(set(key)) < len(key):
        raise invalid(place, "names a member twice")
    if wanted.latest_by is not None:
        checked_tokens(wanted.latest_by, "/deduplicate/latest_by")
    return key, wanted.latest_by


def _partitions(
    wanted: Sequence[Mapping[str, str] | str], latest_by: str | None
) -> list[PartitionColumn]:
    found: dict[str, PartitionColumn] = {}
    for index, level in enumerate(wanted):
        place = f"/partition_by/{index}"
        partition = _partition(level, place)
        if not isinstance(level, str):
            _require_no_slip(partition, latest_by, place)
        other = found.setdefault(partition.name.lower(), partition)
        if other is not partition:
            raise invalid(place, f"{partition.name!r} and {other.name!r} are one name in Hive")
    return list(found.values())


def _require_no_slip(level: PartitionColumn, latest_by: str | None, place: str) -> None:
    """Refuse a name for a value that is almost one of a moment's parts, such as `yeer`."""
    if level.grain is not Grain.VALUE:
        return
    meant = next((each for each in _MOMENTS if _is_slip(level.name.lower(), each)), None)
    if meant is not None:
        message = f"{level.name!r} would be a folder for each value; did you mean {str(meant)!r}?"
        raise invalid(place, message)
    if level.pointer == latest_by:
        message = (
            f"{level.name!r} would be a folder for each value of `latest_by`; "
            f"did you mean {', '.join(map(repr, map(str, _MOMENTS)))}?"
        )
        raise invalid(place, message)


def _is_slip(name: str, meant: str) -> bool:
    """Return whether one letter more, less or other, or two in exchange, make one of the other."""
    if name == meant:
        return True
    pairs = zip(name, meant, strict=False)
    head = next((at for at, (one, other) in enumerate(pairs) if one != other), len(meant))
    head = min(head, len(name))
    name, meant = name[head:], meant[head:]
    return (
        name[1:] == meant
        or meant[1:] == name
        or name[1:] == meant[1:]
        or (name[:2] == meant[1::-1] and name[2:] == meant[2:])
    )


def _partition(level: Mapping[str, str] | str, place: str) -> PartitionColumn:
    if isinstance(level, str):
        name, pointer, grain = checked_tokens(level, place)[-1], level, Grain.VALUE
    else:
        if len(level) != 1:
            raise invalid(place, 'has one member for each level, as {"year": "/timestamp"}')
        [(name, pointer)] = level.items()
        checked_tokens(pointer, f"{place}/{name}")
        grain = Grain(name) if name in _MOMENTS else Grain.VALUE
    if _PARTITION_NAME.fullmatch(name) is None:
        message = f"{clipped(name)!r} is not made of letters, digits and underscores; name it, as"
        raise invalid(place, f'{message} {{"name": "/pointer"}}')
    return PartitionColumn(name=name, grain=grain, pointer=pointer)
