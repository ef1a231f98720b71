"""Define what an export is asked for: the body of `POST /exports`."""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from app.executions.callback_urls import CallbackUrl
from app.executions.model import Labels
from app.exports.plan.model import OnBadRow
from app.limits import MAX_EXPORT_COLUMNS, MAX_EXPORT_LEVELS

MAX_BAD_ROWS: Final = 100_000
Reference = Annotated[str, Meta(max_length=200)]
# Without a pattern of msgspec's: beside a list or an object it frees that once too often (0.22).
Pointer = Annotated[str, Meta(max_length=1_000, extra_json_schema={"pattern": "^/"})]
ColumnName = Annotated[str, Meta(min_length=1, max_length=128)]


class Deduplicate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of the records with one key, keep the one with the highest value at `latest_by`.

    Of equal values, and without `latest_by`, the later in file order is kept. `key` is a pointer,
    or several.
    """

    key: Pointer | Annotated[list[Pointer], Meta(min_length=1, max_length=8)]
    latest_by: Pointer | None = None


class ColumnChoice(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A column by name, and its type: that of the schema or inferred, if it is omitted.

    `type` is one of `boolean`, `bigint`, `double`, `decimal(p,s)`, `date`, `timestamp`, `string`,
    `json`, which is the value's JSON as text, and `struct`, which is the structure that the schema
    has there.
    """

    pointer: Pointer
    type: str | None = None


Columns = Annotated[
    dict[ColumnName, Pointer | ColumnChoice],
    Meta(
        max_length=MAX_EXPORT_COLUMNS,
        examples=[{"id": "/id", "amount": {"pointer": "/data/amount", "type": "decimal(18,2)"}}],
    ),
]
Level = Annotated[dict[ColumnName, Pointer], Meta(max_length=1)]


class CreateExport(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /exports`.

    `dataset` is a reference to a snapshot, as `events@4`. `partition_by` has one object with one
    member for each level, as `{"year": "/timestamp"}`, of `year`, `month`, `day`, `hour` and
    names for values; a pointer alone, as `"/domain"`, is a value under its last name. `columns`
    are all members, if omitted. `to` is a destination that the operator allows; null: the files
    stay here, and are downloaded. What the next export to a destination replaces must be of the
    same dataset, of no newer snapshot and with the same choices, or `replace` is true. `since` is a
    snapshot that an earlier export with the same choices has exported: only partitions that newer
    records change are written. `script` maps each record first, and what it returns is exported.
    """

    dataset: Reference
    format: Literal["parquet"] = "parquet"
    deduplicate: Deduplicate | None = None
    partition_by: Annotated[
        list[Level | Pointer],
        Meta(
            max_length=MAX_EXPORT_LEVELS,
            examples=[[{"year": "/timestamp"}, {"kind": "/data/kind"}, "/domain"]],
        ),
    ] = []
    columns: Columns | None = None
    to: Annotated[str, Meta(max_length=1_000)] | None = None
    replace: bool = False
    since: Annotated[int, Meta(ge=1)] | None = None
    script: Reference | None = None
    on_bad_row: OnBadRow = OnBadRow.FAIL
    max_bad_rows: Annotated[int, Meta(ge=0, le=MAX_BAD_ROWS)] = 1_000
    labels: Labels = {}
    callback_url: CallbackUrl | None = None
