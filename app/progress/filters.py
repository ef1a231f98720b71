"""Filter lists of what was submitted: by labels and by the time of acceptance."""

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
