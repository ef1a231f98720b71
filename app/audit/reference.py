"""What the API's reference says of the audit log: answers, parameters, examples."""

from pathlib import Path
from typing import Annotated, Final
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from app.audit.model import Action, Entry
from app.http.openapi import (
    Answer,
    documented,
)
from app.http.openapi_parameters import (
    load_examples,
)
from app.outages import DatabaseUnavailable
from app.pagination import Page, PageChoices

_EXAMPLES: Final = load_examples(Path(__file__).with_name("examples.json"))
_MOMENT: Final = {"format": "date-time"}


class ListChoices(PageChoices, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which changes a list shows."""

    tenant_id: Annotated[UUID, Meta(description="whose thing was changed")] | UnsetType = UNSET
    key_id: Annotated[UUID, Meta(description="the key that changed it")] | UnsetType = UNSET
    action: Annotated[Action, Meta(description="what was done")] | UnsetType = UNSET
    target: (
        Annotated[
            str,
            Meta(description="the address of what was changed", pattern=r"^[^\x00]*$"),
        ]
        | UnsetType
    ) = UNSET
    # Texts: of a text that is a number, a lenient decoder would make a moment, too.
    created_from: (
        Annotated[str, Meta(description="changed then or later", extra_json_schema=_MOMENT)]
        | UnsetType
    ) = UNSET
    created_before: (
        Annotated[str, Meta(description="changed before then", extra_json_schema=_MOMENT)]
        | UnsetType
    ) = UNSET


LIST_CHANGES: Final = documented(
    query=ListChoices,
    gives={200: Answer(description="A page of changes, newest first", shape=Page[Entry])},
    problems=(DatabaseUnavailable("PostgreSQL does not answer"),),
    examples=_EXAMPLES,
)
