"""Describe the columns of an export as they are written, those of its folders last."""

from collections.abc import Sequence
from typing import Final, Literal, cast

from msgspec import UNSET, UnsetType

from app.exports.model import ExportColumnInfo, ValuePlace
from app.exports.plan import model as plan_model
from app.exports.plan.model import JSON_TEXT, Column, Grain, PartitionColumn, Plan
from app.schemas.ddl.types import Kind, ListOf, MapOf, Scalar, StructOf, Type

_VALUE: Final = Scalar(Kind.STRING)
_PART_OF_TIME: Final = Scalar(Kind.INT)


def file_columns(plan: Plan, columns: Sequence[Column]) -> list[Column]:
    """Return the columns that the files have: the folders have the others.

    Of an export in stages those of the folders are known, too; its last tasks are given them.
    """
    levels = {each.name.lower() for each in plan.partition_by}
    return [each for each in columns if each.name.lower() not in levels]


def columns_in(
    plan: Plan,
    columns: Sequence[Column],
    nulls: Sequence[int] | None = None,
    level_nulls: Sequence[int] | None = None,
) -> list[ExportColumnInfo]:
    """Return all columns of an export in Hive's words.

    `nulls` are of those of the files, `level_nulls` of those of the folders.
    """
    found = file_columns(plan, columns)
    counts: Sequence[int | UnsetType] = nulls or [UNSET] * len(found)
    files = [
        ExportColumnInfo(
            name=each.name,
            type=type_name(each.type),
            source=cast("Literal['schema', 'request', 'inferred']", each.source),
            json=each.type == JSON_TEXT,
            mixed_at=UNSET if each.mixed_at is None else _shown(plan, each.mixed_at),
            nulls=count,
        )
        for each, count in zip(found, counts, strict=True)
    ]
    level_counts: Sequence[int | UnsetType] = level_nulls or [UNSET] * len(plan.partition_by)
    folders = [
        ExportColumnInfo(
            name=each.name,
            type=type_name(type_of_partition(each)),
            source="partition",
            json=False,
            nulls=count,
        )
        for each, count in zip(plan.partition_by, level_counts, strict=True)
    ]
    return [*files, *folders]


def _shown(plan: Plan, at: plan_model.ValuePlace) -> ValuePlace:
    if plan.of_script:
        return ValuePlace(path=at.path, record=at.line)
    return ValuePlace(path=at.path, line=at.line)


def type_of_partition(partition: PartitionColumn) -> Scalar:
    """Return the type of a level of the folders."""
    return _VALUE if partition.grain is Grain.VALUE else _PART_OF_TIME


def folder_of(name: str) -> str:
    """Return the folders of a file, which are empty for a file without partition."""
    return name.rpartition("/")[0]


def type_name(of: Type) -> str:
    """Return a type in Hive's words."""
    match of:
        case Scalar(kind=Kind.UUID):
            return Kind.STRING
        case Scalar():
            return of.kind + (f"({','.join(map(str, of.size))})" if of.size else "")
        case ListOf():
            return f"array<{type_name(of.item)}>"
        case MapOf():
            return f"map<string,{type_name(of.value)}>"
        case StructOf():
            members = (f"{field.name}:{type_name(field.type)}" for field in of.fields)
            return f"struct<{','.join(members)}>"
