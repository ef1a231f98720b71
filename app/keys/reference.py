"""Document the routes of API keys in OpenAPI: responses, problems, parameters, examples."""

from pathlib import Path
from typing import Annotated, Final

from msgspec import UNSET, Meta, UnsetType

from app.http.openapi import ResponseSpec, documented
from app.http.openapi_parameters import load_examples
from app.http.undeclared import not_evaluated
from app.keys.model import CreatedKey, CreateKey, Key, KeyNotFound
from app.outages import DatabaseUnavailable
from app.pagination import Page, PageQuery
from app.tenants.model import TenantNotFound

_EXAMPLES: Final = load_examples(Path(__file__).with_name("examples.json"))
_PARAMETERS: Final = {"key": "the key's id"}

_NO_DATABASE: Final = DatabaseUnavailable("PostgreSQL does not answer")
_NO_KEY: Final = KeyNotFound("no key 01a1fbeb-e362-742d-9594-29c5a8afd450")


class KeyQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Query of `GET /keys`."""

    tenant: Annotated[str, Meta(description="a tenant's id or name")] | UnsetType = UNSET


CREATE_KEY: Final = documented(
    idempotent=True,
    request_bodies={"application/json": CreateKey},
    responses={
        200: ResponseSpec(
            description="Repeated with its Idempotency-Key: the key, without its secret",
            shape=Key,
            headers={"Location": "the address of the key", "Cache-Control": "`no-store`"},
        ),
        201: ResponseSpec(
            description="The key, with its secret, which is not shown again",
            shape=CreatedKey,
            headers={"Location": "the address of the new key", "Cache-Control": "`no-store`"},
            links={"showKey": {"key": "id"}, "revokeKey": {"key": "id"}},
        ),
    },
    problems=(_NO_DATABASE,),
    examples=_EXAMPLES,
)

LIST_KEYS: Final = documented(
    query=KeyQuery,
    responses={200: ResponseSpec(description="A page of keys, newest first", shape=Page[Key])},
    problems=(TenantNotFound("no tenant 'acme'"), _NO_DATABASE),
    examples=_EXAMPLES,
)

SHOW_KEY: Final = documented(
    responses={200: ResponseSpec(description="The key, without its secret", shape=Key)},
    problems=(_NO_KEY, _NO_DATABASE),
    parameters=_PARAMETERS,
    examples=_EXAMPLES,
)

REVOKE_KEY: Final = documented(
    responses={200: ResponseSpec(description="The key, revoked", shape=Key)},
    problems=(not_evaluated("If-Match"), _NO_KEY, _NO_DATABASE),
    parameters=_PARAMETERS,
    examples=_EXAMPLES,
)
