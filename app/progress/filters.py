"""Filter lists of what was submitted: by columns, labels and the time of acceptance."""

from typing import Annotated, Final

from msgspec import Meta

_DATE_TIME: Final = {"format": "date-time"}

LabelTexts = Annotated[list[str], Meta(description="`name:value`; repeated: all must match")]
# Strings: lenient decoding would accept a number as a time.
AcceptedFrom = Annotated[
    str, Meta(description="accepted at this time or later", extra_json_schema=_DATE_TIME)
]
AcceptedBefore = Annotated[
    str, Meta(description="accepted before this time", extra_json_schema=_DATE_TIME)
]


def matching(alias: str, *columns: str) -> str:
    """Write the conditions of a list, with the values that the CTE `parameters` has.

    Rows have those of `columns`, and were created between two times; NULL matches all.
    """
    equal = "".join(
        f"AND (parameters.{each} IS NULL OR {alias}.{each} = parameters.{each})\n"
        for each in columns
    )
    return f"""{equal}\
AND (parameters.created_from IS NULL OR {alias}.created_at >= parameters.created_from)
AND (parameters.created_before IS NULL OR {alias}.created_at < parameters.created_before)"""
