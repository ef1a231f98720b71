"""The API conforms to its OpenAPI document for generated requests."""

import json
from collections.abc import Iterator
from typing import Any, Final
from uuid import UUID

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import Case
from schemathesis.core.parameters import ParameterLocation
from schemathesis.core.result import Ok
from schemathesis.generation.feedback import FeedbackSources
from schemathesis.generation.meta import CoveragePhaseData, CoverageScenario
from schemathesis.generation.stateful import run_state_machine_as_test
from schemathesis.pytest._test_builder import build_operation_test
from schemathesis.python._constants.orchestrator import make_constants_value_source
from schemathesis.schemas import BaseSchema

from app.keys.model import parse_key
from tests.support.system import ROOT
from tests.support.system_with_keys import SystemWithKeys

# Bounded and deterministic: a failure is reproducible.
CONFIG: Final = schemathesis.Config.from_dict(
    {
        "seed": 1,
        "generation": {
            "mode": "all",
            "max-examples": 10,
            "deterministic": True,
            "database": "none",
        },
        # A schema cannot express V8's grammar, nor which parameters go with
        # which form of a body, and takes 2.0 for an integer: 422 may answer what fits it.
        # Nor can it express whether a condition holds: 412, nor how long an address is: 414.
        # DELETE of a script archives it: it can still be read.
        "checks": {
            "use_after_free": {"enabled": False},
            "negative_data_rejection": {
                "expected-statuses": [
                    *(400, 401, 403, 404, 405, 406, 409, 412, 414, 415, 422, 428, 429),
                    "5xx",
                ],
            },
            "positive_data_acceptance": {
                "expected-statuses": ["2xx", 404, 409, 412, 414, 422],
            },
        },
    }
)
PATH: Final = ROOT / "openapi" / "openapi.json"
# HEAD equals GET: tests/http/test_head.py compares the two.
OPERATIONS: Final = [
    operation["operationId"]
    for methods in json.loads(PATH.read_bytes())["paths"].values()
    for method, operation in methods.items()
    if method != "head"
]


@schemathesis.serializer("application/x-ndjson")
def write_lines(_: object, value: object) -> bytes:
    """Send generated text as it is, and other values as lines of JSON."""
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()


@schemathesis.hook
def filter_case(_: object, case: Case[Any]) -> bool:
    """Leave out wrong values that an address cannot have, or has as a text.

    An empty list is no parameter, and every part of a path is a text: some values of a wrong type
    are texts already when they come here, as [null, null] is "null,null".
    """
    if any(value in ([], {}) for value in (case.query or {}).values()) or not all(
        isinstance(value, str) for value in (case.path_parameters or {}).values()
    ):
        return False
    data = None if case.meta is None else case.meta.phase.data
    return not (
        isinstance(data, CoveragePhaseData)
        and data.parameter_location is ParameterLocation.PATH
        and data.scenario is CoverageScenario.INCORRECT_TYPE
    )


@pytest.fixture(scope="module")
def schema() -> BaseSchema:
    return schemathesis.openapi.from_path(PATH, config=CONFIG).exclude(method="HEAD")


@pytest.fixture(scope="module")
def enduring(keyed: SystemWithKeys) -> Iterator[SystemWithKeys]:
    """A system that must still work afterwards, without unexpected errors.

    It requires keys: requests without one must be refused.
    """
    before = len(keyed.system.logs_of_process("app.main"))
    yield keyed
    assert keyed.get("/scripts").status_code == 200
    assert keyed.get("/health/ready").status_code == 200
    assert "request.failed" not in keyed.system.logs_of_process("app.main")[before:]


# Requests are generated in the test: by schema.parametrize(), each process of xdist would generate
# those of all operations, while it collects tests.
@pytest.mark.parametrize("name", OPERATIONS)
def test_responses_conform_to_the_document(
    schema: BaseSchema, enduring: SystemWithKeys, name: str
) -> None:
    # Of keys that are addresses by themselves, few generated texts are left.
    @settings(suppress_health_check=[HealthCheck.filter_too_much])
    def conforms(case: Case[Any]) -> None:
        case.call_and_validate(base_url=enduring.system.url, headers=enduring.authorized())

    [found] = schema.include(operation_id=name).get_all_operations()
    assert isinstance(found, Ok)
    build_operation_test(
        config=schema.config,
        operation=found.ok(),
        test_func=conforms,
        given_kwargs={},
        feedback=FeedbackSources(constants_value_source=make_constants_value_source(schema)),
    )()


def test_links_lead_to_valid_requests(schema: BaseSchema, enduring: SystemWithKeys) -> None:
    machine: Any = schema.as_state_machine()
    own = parse_key(enduring.admin_key)
    assert own is not None
    own_id = str(own.id)

    class Clients(machine):  # type: ignore[misc] # made from the document
        def before_call(self, case: Case[Any]) -> None:
            # It finds its own key in the list of keys, and would go on to revoke it.
            if case.path_parameters and case.path_parameters.get("key") == own_id:
                case.path_parameters["key"] = str(UUID(int=0))

        def get_call_kwargs(self, case: Case[Any]) -> dict[str, Any]:  # noqa: ARG002
            return {"base_url": enduring.system.url, "headers": enduring.authorized()}

    run_state_machine_as_test(
        Clients,
        settings=settings(
            max_examples=5,
            stateful_step_count=6,
            deadline=None,
            derandomize=True,
            database=None,
            # Failures are not shrunk: that takes longer than reading them.
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_events_conform_to_the_document(schema: BaseSchema, enduring: SystemWithKeys) -> None:
    source = "const process = data => data"
    enduring.post("/scripts", json={"name": "with-events", "source": source})
    submitted = enduring.post("/executions", json={"script": "with-events", "data": 1})
    execution = submitted.json()["id"]
    assert enduring.get(f"/executions/{execution}", params={"wait": 30}).json()["finished_at"]
    operation = schema["/executions/{execution}/events"]["GET"]

    answer = operation.Case(path_parameters={"execution": execution}).call_and_validate(
        base_url=enduring.system.url, headers=enduring.authorized()
    )

    assert b"event: status" in answer.content
