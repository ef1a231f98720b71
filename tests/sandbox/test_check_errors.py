"""Checks refuse what they cannot validate, and mismatches become error documents."""

import json

import pytest

from app.execution_errors import ErrorKind, failure_of
from app.sandbox.outcomes import Io, Job, UnknownSchema
from app.sandbox.parts import Format, Output, Part, Task
from app.sandbox.pool import SandboxPool
from app.sandbox.schema_checks import Checks, Choice, SchemaSet
from tests.support.checked_jobs import EVENT, RESULT, by, checked, schema_set
from tests.support.sandbox_runs import job, run_job


@pytest.mark.asyncio(loop_scope="module")
async def test_an_error_document_shows_the_first_errors(pool: SandboxPool) -> None:
    what = checked("const process = d => d", excerpts=True)
    refused = await run_job(pool, what, b'{"n":"\\ud800","x/y":[1],"z":1}')
    failure = failure_of(refused.outcome)

    assert failure is not None
    assert failure.kind is ErrorKind.INPUT_SCHEMA_MISMATCH
    document = json.loads(failure.document())
    assert document == {
        "kind": "input_schema_mismatch",
        "message": "/n: is string, not integer (event@1; 2 more)",
        "schema": "event@1",
        "schema_errors": [
            {
                "pointer": "/n",
                "keyword": "type",
                "schema_pointer": "/properties/n/type",
                "message": "is string, not integer",
                "value": '"\\ud800"',
            },
            *(
                {
                    "pointer": f"/{name}",
                    "keyword": "strict",
                    "schema_pointer": "",
                    "message": "is not registered by the schema",
                    "value": value,
                }
                for name, value in (("x~1y", "[1]"), ("z", "1"))
            ),
        ],
    }


@pytest.mark.asyncio(loop_scope="module")
async def test_an_error_document_has_at_most_8_kib(pool: SandboxPool) -> None:
    what = by({"additionalProperties": False})
    for name in ("a", "\\ud800", "\\u0000" * 1_000, "x" * 10_000):
        members = ",".join(f'"{name}{n}":{n}' for n in range(200))
        ran = await run_job(pool, what, f"{{{members}}}".encode())
        failure = failure_of(ran.outcome)
        assert failure is not None
        assert len(failure.document()) <= 8 * 1024
        document = json.loads(failure.document())
        kept = len(document["schema_errors"]) + document["schema_errors_omitted"]
        assert kept == 100
        assert "more)" in document["message"]


def test_bytes_and_texts_have_no_schema() -> None:
    checks = Checks(schemas=schema_set(), input=EVENT)
    output = Checks(schemas=schema_set(), output=RESULT)
    limits = job("").limits
    with pytest.raises(ValueError, match="bytes have no schema"):
        Job(tenant="t", source=b"", seed=0, clock_ms=0, limits=limits, io=Io.BYTES, checks=checks)
    for format_ in (Format.LINES, Format.TEXT, Format.BYTES):
        part = Part(task=Task.MAP, format=format_)
        with pytest.raises(ValueError, match="an input of"):
            part.require_use(states=0, checks=checks)
        part.require_use(states=0, checks=output)
    with pytest.raises(ValueError, match="an output of bytes"):
        Part(task=Task.MAP, output=Output.BYTES).require_use(states=0, checks=output)


def test_checks_name_schemas_of_their_set() -> None:
    with pytest.raises(ValueError, match="no schemas urn:other"):
        Checks(schemas=schema_set(), input="urn:other")
    with pytest.raises(ValueError, match="no schemas urn:other"):
        Checks(schemas=schema_set(), input=Choice(by=("/a",), uris={"a": "urn:other"}))
    with pytest.raises(ValueError, match="strict schemas without documents: urn:other"):
        SchemaSet({}, frozenset({"urn:other"}))
    with pytest.raises(ValueError, match="no JSON pointers"):
        Choice(by=("a",), uris={})


def test_an_unknown_schema_is_said() -> None:
    missing = failure_of(UnknownSchema(values="a", pointer="/type"))
    unknown = failure_of(UnknownSchema(values="a/\ud800"))

    assert missing is not None
    assert missing.message == "/type: is no string, and the schema is chosen by it"
    assert unknown is not None
    assert json.loads(unknown.document())["message"] == "no schema is named by 'a/\\ud800'"
