"""Say what an export has made of records and columns that may not be what was meant."""

import re
from collections.abc import Iterator
from typing import Final

from crivo.cli.export_choices import Choices, choices_of
from crivo.cli.export_errors import MIXED_KEY
from crivo.cli.output import counted
from crivo.export_models import Export, ExportColumnInfo, place_of

# The folder of the rows that lack a level's value.
_NO_VALUE: Final = "__HIVE_DEFAULT_PARTITION__"
# Athena and Hive take capitals for small letters.
_NAME_IN_HIVE: Final = re.compile(r"[A-Za-z0-9_]+")
_LEVEL: Final = "partition"


def reason_of_emptiness(export: Export) -> str | None:
    """Return what has become of all records, if there were some and no row is left."""
    if not export.rows_in or export.rows_out:
        return None
    bad = export.rows_failed - export.script_rows_failed
    reasons = [
        text
        for count, text in (
            (export.rows_dropped, f"the script dropped {export.rows_dropped:,}"),
            (export.script_rows_failed, f"the script failed at {export.script_rows_failed:,}"),
            (bad, f"{bad:,} could not be exported (`crivo exports errors {export.id}`)"),
        )
        if count
    ]
    rows = counted(export.rows_in, "record")
    return f"the export has no row: of {rows}, {', '.join(reasons) or 'none is left'}"


def warnings_of_columns(export: Export) -> Iterator[str]:
    """Name columns and levels that lack values, or are not as a reader may expect them."""
    columns, choices = export.columns or [], choices_of(export)
    chosen = choices.columns or {}
    empty = [each for each in columns if export.rows_out and each.nulls == export.rows_out]
    for option, names in (
        ("--column", [e.name for e in empty if e.source != _LEVEL and e.name in chosen]),
        ("--partition", [e.name for e in empty if e.source == _LEVEL]),
    ):
        if names:
            yield f"no row has a value for {', '.join(names)}; check {option}"
    levels = [e for e in columns if e.source == _LEVEL and e.nulls and e not in empty]
    if levels:
        rows = ", ".join(f"{each.name} ({counted(each.nulls or 0, 'row')})" for each in levels)
        yield (
            f"levels lack values: {rows}, which are in {_NO_VALUE}; pandas.read_parquet "
            "then needs partitioning=pyarrow.dataset.partitioning(flavor='hive')"
        )
    for each in columns:
        if each.mixed_at is not None:
            yield _of_mixed(each, choices)
        elif each.source == "inferred" and each.type == "string" and not each.json:
            yield from _of_text(each, choices)
    yield from _of_names(columns)


def _of_mixed(column: ExportColumnInfo, choices: Choices) -> str:
    at = column.mixed_at
    assert at is not None  # noqa: S101 - of a mixed column
    key = f". And {MIXED_KEY}" if choices.pointer_of(column.name) in choices.key_pointers() else ""
    return (
        f"{column.name} has values of several types, the first of another one in "
        f"{place_of(at.path, at.line, at.record)}: it is kept as JSON, strings in quotation marks; "
        f"--column {column.name}:string keeps strings as they are{key}"
    )


def _of_text(column: ExportColumnInfo, choices: Choices) -> Iterator[str]:
    pointer = choices.pointer_of(column.name)
    if pointer in choices.time_pointers():
        others = "" if choices.columns else ", beside a --column for each of the others"
        yield (
            f"{column.name} is a column of text; `--column {column.name}={pointer}:timestamp` "
            f"makes it one of times{others}"
        )


def _of_names(columns: list[ExportColumnInfo]) -> Iterator[str]:
    for option, is_level in (("--column", False), ("--partition", True)):
        names = [
            each.name
            for each in columns
            if (each.source == _LEVEL) == is_level and not _NAME_IN_HIVE.fullmatch(each.name)
        ]
        if names:
            yield (
                f"a table of Athena or Hive cannot have a column named {', '.join(names)}: names "
                f"there are of letters a-z, digits and underscores; `{option} NEW=/POINTER` gives "
                "another name"
            )
