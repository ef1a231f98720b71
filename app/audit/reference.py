"""Document the route of the audit log in OpenAPI: responses, parameters, examples."""

from pathlib import Path
from typing import Annotated, Final
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from app.audit.model import Action, Entry
from app.http.openapi import ResponseSpec, documented
from app.http.openapi_parameters import load_examples
from app.outages import DatabaseUnavailable
from app.pagination import Page, PageQuery

_EXAMPLES: Final = load_examples(Path(__file__).with_name("examples.json"))
_DATE_TIME: Final = {"format": "date-time"}


class EntryQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Query of `GET /audit`."""

    tenant_id: (
        Annotated[UUID, Meta(description="the owner of the changed resource")] | UnsetType
    ) = UNSET
    key_id: Annotated[UUID, Meta(description="the caller's key")] | UnsetType = UNSET
    action: Annotated[Action, Meta(description="the kind of change")] | UnsetType = UNSET
    target: (
        Annotated[
            str,
            Meta(description="the address of the changed resource", pattern=r"^[^\x00]*$"),
        ]
        | UnsetType
    ) = UNSET
    # Strings: a lenient decoder would read a number as a timestamp.
    created_from: (
        Annotated[
            str, Meta(description="changed at this time or later", extra_json_schema=_DATE_TIME)
        ]
        | UnsetType
    ) = UNSET
    created_before: (
        Annotated[str, Meta(description="changed before this time", extra_json_schema=_DATE_TIME)]
        | UnsetType
    ) = UNSET


LIST_CHANGES: Final = documented(
    query=EntryQuery,
    responses={200: ResponseSpec(description="A page of changes, newest first", shape=Page[Entry])},
    problems=(DatabaseUnavailable("PostgreSQL does not answer"),),
    examples=_EXAMPLES,
)
