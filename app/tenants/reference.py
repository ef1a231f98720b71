"""Document the routes of tenants in OpenAPI: responses, problems, parameters, examples."""

from pathlib import Path
from typing import Final

from app.http.openapi import ResponseSpec, documented
from app.http.openapi_parameters import load_examples
from app.outages import DatabaseUnavailable
from app.pagination import Page, PageQuery
from app.tenants.model import (
    ChangeTenant,
    CreateTenant,
    OperatorsTenant,
    Tenant,
    TenantNameTaken,
    TenantNotFound,
)

_EXAMPLES: Final = load_examples(Path(__file__).with_name("examples.json"))
_PARAMETERS: Final = {"name": "the tenant's name or id"}

_NO_DATABASE: Final = DatabaseUnavailable("PostgreSQL does not answer")
_NO_TENANT: Final = TenantNotFound("no tenant 'acme'")

CREATE_TENANT: Final = documented(
    idempotent=True,
    request_bodies={"application/json": CreateTenant},
    responses={
        201: ResponseSpec(
            description="The tenant",
            shape=Tenant,
            headers={"Location": "the address of the new tenant"},
            links={"showTenant": {"name": "id"}, "changeTenant": {"name": "id"}},
        )
    },
    problems=(TenantNameTaken("the name 'acme' is taken"), _NO_DATABASE),
    examples=_EXAMPLES,
)

LIST_TENANTS: Final = documented(
    query=PageQuery,
    responses={
        200: ResponseSpec(description="A page of tenants, newest first", shape=Page[Tenant])
    },
    problems=(_NO_DATABASE,),
    examples=_EXAMPLES,
)

SHOW_TENANT: Final = documented(
    responses={200: ResponseSpec(description="The tenant", shape=Tenant)},
    problems=(_NO_TENANT, _NO_DATABASE),
    parameters=_PARAMETERS,
    examples=_EXAMPLES,
)

CHANGE_TENANT: Final = documented(
    request_bodies={"application/json": ChangeTenant},
    responses={200: ResponseSpec(description="The changed tenant", shape=Tenant)},
    problems=(
        _NO_TENANT,
        OperatorsTenant("the tenant 'default' holds the keys that could resume it"),
        _NO_DATABASE,
    ),
    parameters=_PARAMETERS,
    examples=_EXAMPLES,
)
