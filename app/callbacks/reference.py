"""Document the routes of callbacks in OpenAPI: responses, problems, parameters, examples."""

from pathlib import Path
from typing import Final

from litestar.openapi.spec import Operation

from app.batches.problems import BatchNotFound
from app.callbacks.model import Callback, CreatedSecret, CreateSecret, DisabledUrl, Secret
from app.callbacks.problems import (
    CallbackNotFound,
    CallbackUrlDisabled,
    DisabledUrlNotFound,
    SecretReplaced,
)
from app.errors import Problem
from app.executions.problems import ExecutionNotFound
from app.exports.problems import ExportNotFound
from app.http.openapi import ResponseSpec, documented
from app.http.openapi_parameters import load_examples
from app.http.undeclared import not_evaluated
from app.outages import DatabaseUnavailable
from app.pagination import Page, PageQuery
from app.runs.problems import RunNotFound

_EXAMPLES: Final = load_examples(Path(__file__).with_name("examples.json"))
_PARAMETERS: Final = {
    "execution": "id of the execution",
    "batch": "id of the batch",
    "run": "id of the run",
    "export": "id of the export",
    "callback": "id of the callback",
    "disabled": "id of the disabled URL",
}

_NO_DATABASE: Final = DatabaseUnavailable("PostgreSQL does not answer")
_NO_EXECUTION: Final = ExecutionNotFound("no execution 01a1fbeb-e362-742d-9594-29c5a8afd450")
_NO_BATCH: Final = BatchNotFound("no batch 01a1fbeb-e362-742d-9594-29c5a8afd450")
_NO_RUN: Final = RunNotFound("no run 01a1fbeb-e362-742d-9594-29c5a8afd450; GET /runs lists them")
_NO_EXPORT: Final = ExportNotFound(
    "no export 01a1fbeb-e362-742d-9594-29c5a8afd450; GET /exports lists them"
)
_NO_CALLBACK: Final = CallbackNotFound(
    "GET /executions/01a1fbeb-e362-742d-9594-29c5a8afd450/callbacks lists them"
)


def _listing(missing: Problem) -> type[Operation]:
    return documented(
        responses={200: ResponseSpec(description="All of its callbacks", shape=Page[Callback])},
        problems=(missing, _NO_DATABASE),
        parameters=_PARAMETERS,
        examples=_EXAMPLES,
    )


def _resending(missing: Problem) -> type[Operation]:
    return documented(
        responses={202: ResponseSpec(description="The callback, pending", shape=Callback)},
        problems=(
            missing,
            _NO_CALLBACK,
            CallbackUrlDisabled("the URL has answered 410"),
            not_evaluated("If-Match"),
            _NO_DATABASE,
        ),
        parameters=_PARAMETERS,
        examples=_EXAMPLES,
    )


LIST_CALLBACKS: Final = _listing(_NO_EXECUTION)
RESEND_CALLBACK: Final = _resending(_NO_EXECUTION)

LIST_BATCH_CALLBACKS: Final = _listing(_NO_BATCH)
RESEND_BATCH_CALLBACK: Final = _resending(_NO_BATCH)

LIST_RUN_CALLBACKS: Final = _listing(_NO_RUN)
RESEND_RUN_CALLBACK: Final = _resending(_NO_RUN)

LIST_EXPORT_CALLBACKS: Final = _listing(_NO_EXPORT)
RESEND_EXPORT_CALLBACK: Final = _resending(_NO_EXPORT)

CREATE_SECRET: Final = documented(
    idempotent=True,
    request_bodies={"application/json": CreateSecret},
    responses={
        200: ResponseSpec(
            description="Repeated with its Idempotency-Key: the secret, without its text",
            shape=Secret,
            headers={"Cache-Control": "`no-store`"},
        ),
        201: ResponseSpec(
            description="The secret, which is not shown again",
            shape=CreatedSecret,
            headers={"Cache-Control": "`no-store`"},
        ),
    },
    problems=(SecretReplaced("the earlier request created a secret"), _NO_DATABASE),
    examples=_EXAMPLES,
)

LIST_SECRETS: Final = documented(
    responses={200: ResponseSpec(description="All that sign, newest first", shape=Page[Secret])},
    problems=(_NO_DATABASE,),
    examples=_EXAMPLES,
)

LIST_DISABLED: Final = documented(
    query=PageQuery,
    responses={
        200: ResponseSpec(
            description="A page of disabled URLs, the last disabled first", shape=Page[DisabledUrl]
        )
    },
    problems=(_NO_DATABASE,),
    examples=_EXAMPLES,
)

ENABLE_URL: Final = documented(
    responses={204: ResponseSpec(description="The URL gets callbacks again")},
    problems=(
        not_evaluated("If-Match"),
        DisabledUrlNotFound("GET /callbacks/disabled-urls lists them"),
        _NO_DATABASE,
    ),
    parameters=_PARAMETERS,
    examples=_EXAMPLES,
)
