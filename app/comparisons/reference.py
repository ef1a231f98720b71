"""Describe comparisons in the OpenAPI document: responses, problems, parameters, examples."""

from pathlib import Path
from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from app.batches.problems import UploadLost
from app.comparisons.model import Comparison, CreateComparison
from app.comparisons.problems import ComparisonNotFound, NothingToCompare, SampleTooLarge
from app.executions.problems import QueueFull
from app.http.openapi import ResponseSpec, documented
from app.http.openapi_parameters import load_examples
from app.http.quota_problems import quota_problem
from app.outages import DatabaseUnavailable
from app.progress.problems import NoRoomToWait, TooManyWaiting
from app.progress.waiters import MAX_WAIT_SECONDS
from app.quotas.errors import QuotaExceeded
from app.scripts.problems import ScriptArchived, ScriptNotFound, VersionNotFound, no_process
from app.workers.model import NoWorkerLargeEnough

_EXAMPLES: Final = load_examples(Path(__file__).with_name("examples.json"))
_NO_DATABASE: Final = DatabaseUnavailable("PostgreSQL does not answer")
_NOTHING: Final = "01900000-0000-7000-8000-000000000000"


class ComparisonQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Query of `GET /comparisons/{comparison}`."""

    wait: (
        Annotated[
            float,
            Meta(
                description="respond once it has finished, or after this many seconds; more than "
                f"{MAX_WAIT_SECONDS} count as {MAX_WAIT_SECONDS}",
                ge=0,
            ),
        ]
        | UnsetType
    ) = UNSET


CREATE_COMPARISON: Final = documented(
    request_bodies={"application/json": CreateComparison},
    idempotent=True,
    responses={
        202: ResponseSpec(
            description="The comparison is accepted; both versions will run",
            shape=Comparison,
            headers={
                "Location": "address of the comparison",
                "Retry-After": "when to ask again, in seconds",
            },
            links={"showComparison": {"comparison": "id"}},
        )
    },
    problems=(
        ScriptNotFound(f"no script {_NOTHING!r}; GET /scripts lists them"),
        VersionNotFound("the script 'cards' has no version 9"),
        ScriptArchived("the script 'cards' is archived and takes no executions"),
        no_process("total-of", 1),
        NothingToCompare("no execution of the script matches"),
        SampleTooLarge("/sample/last: the inputs of both runs have 300000000 bytes"),
        quota_problem(QuotaExceeded("queued", limit=1_000, used=100)),
        QueueFull("1000000 executions are queued; the limit is 1000000"),
        NoWorkerLargeEnough(
            "the memory limit is 4294967296 bytes; no live worker can enforce more than 2387561078"
        ),
        UploadLost(),
        # Of a repetition, if the comparison has been deleted since.
        ComparisonNotFound(f"no comparison {_NOTHING}"),
        _NO_DATABASE,
    ),
    parameters={"script": "the script's name or its id"},
    examples=_EXAMPLES,
)

SHOW_COMPARISON: Final = documented(
    query=ComparisonQuery,
    headers={"Prefer": "`wait=30` waits as `wait` does, unless too many requests are waiting"},
    responses={200: ResponseSpec(description="The comparison", shape=Comparison)},
    problems=(
        ComparisonNotFound(f"no comparison {_NOTHING}"),
        TooManyWaiting("500 requests of this tenant are already waiting"),
        NoRoomToWait("2000 requests are already waiting"),
        _NO_DATABASE,
    ),
    parameters={"comparison": "id of the comparison"},
    examples=_EXAMPLES,
)
