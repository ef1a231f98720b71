"""Describe replays by filter in the OpenAPI document: responses, problems, examples."""

from pathlib import Path
from typing import Final

from app.auth.errors import MissingScope
from app.auth.model import Scope
from app.batches.problems import BatchNotFound, UploadLost
from app.executions.reference import SUBMISSION_PROBLEMS
from app.http.openapi import ResponseSpec, documented
from app.http.openapi_parameters import load_examples
from app.replays.model import CreateReplays, QueuedReplays, ReplayPlan
from app.replays.problems import NothingToReplay, TooManyToReplay

_EXAMPLES: Final = load_examples(Path(__file__).with_name("examples.json"))

CREATE_REPLAYS: Final = documented(
    request_bodies={"application/json": CreateReplays},
    idempotent=True,
    responses={
        200: ResponseSpec(description="With `dry_run`: what would be replayed", shape=ReplayPlan),
        202: ResponseSpec(
            description="The batch of replays, accepted and committed",
            shape=QueuedReplays,
            headers={
                "Location": "address of the batch",
                "Retry-After": "when to ask again, in seconds",
            },
            links={"showBatch": {"batch": "id"}},
        ),
    },
    problems=(
        *SUBMISSION_PROBLEMS,
        MissingScope(Scope.READ),
        NothingToReplay("/filter: no execution matches"),
        TooManyToReplay("/filter: more than 100000 executions match"),
        UploadLost(),
        # Of a repetition, if the batch has been deleted since.
        BatchNotFound("no batch 01a1fbeb-e362-742d-9594-29c5a8afd450; GET /batches lists them"),
    ),
    examples=_EXAMPLES,
)
