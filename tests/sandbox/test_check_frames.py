"""The pool believes a cell about schemas only what its job can have led to."""

import pytest
from msgspec.structs import replace

from app.sandbox.cell_pool import PoolConfig
from app.sandbox.classification import CellVerdict, RecordErrorFrame
from app.sandbox.frames import decode_frame
from app.sandbox.mismatches import SchemaVerdict, mismatch_of, require_fitting
from app.sandbox.outcomes import Crashed, SchemaMismatch, Succeeded
from app.sandbox.parts import Part, Task
from app.sandbox.pool import SandboxPool, open_pool
from app.sandbox.protocol import Isolation, Kind, ProtocolError, encode_json
from app.sandbox.schema_checks import Checks, Choice, SchemaError
from tests.sandbox import test_protocol, test_stream_protocol
from tests.support.checked_jobs import EVENT, RESULT, checked, schema_set
from tests.support.sandbox_runs import job, run_job
from tests.support.sandbox_streams import stream

ERROR = {"pointer": "/a", "keyword": None, "schema_pointer": None, "message": "x"}
BOTH = Checks(schemas=schema_set(), input=EVENT, output=RESULT)
CHOICE = Checks(schemas=schema_set(), input=Choice(by=("/a", "/b"), uris={"e": EVENT}))
ONLY_OUTPUT = Checks(schemas=schema_set(), output=RESULT)


def read(**members: object) -> CellVerdict:
    about = {"kind": "schema_mismatch", "run_ns": 1, "lines_dropped": 0, "schema": EVENT}
    return decode_frame(encode_json({**about, "errors": [ERROR], **members}), CellVerdict)


@pytest.mark.parametrize(
    "members",
    [
        {"side": "both"},
        {"errors": [ERROR] * 101},
        {"errors": [{**ERROR, "pointer": "x" * 301}]},
        {"errors": [{**ERROR, "schema_pointer": "x" * 301}]},
        {"errors": [{**ERROR, "message": "\ud800" * 301}]},
        {"errors": [{**ERROR, "keyword": "x" * 61}]},
        {"errors": [{**ERROR, "value": "x" * 121}]},
        {"errors": [{**ERROR, "pointer": None}]},
        {"errors": {}},
        {"omitted": 101},
        {"omitted": -1},
        {"values": "x" * 301},
    ],
)
def test_texts_and_numbers_have_limits(members: dict[str, object]) -> None:
    with pytest.raises(ProtocolError):
        read(**members)
    failure = {"kind": "schema_mismatch", "schema": EVENT, "errors": [ERROR], **members}
    with pytest.raises(ProtocolError):
        decode_frame(encode_json({"line": 1, "failure": failure}), RecordErrorFrame)


def test_lone_surrogates_are_kept() -> None:
    verdict = read(errors=[{**ERROR, "message": "\ud800\0", "value": "\udc00"}])

    require_fitting("schema_mismatch", verdict, BOTH)
    outcome = mismatch_of("schema_mismatch", verdict)
    error = SchemaError(
        pointer="/a", keyword=None, schema_pointer=None, message="\ud800\0", value="\udc00"
    )
    assert outcome == SchemaMismatch(side="input", schema=EVENT, errors=(error,))


@pytest.mark.parametrize(
    ("kind", "members", "checks"),
    [
        ("schema_mismatch", {}, None),
        ("schema_mismatch", {}, ONLY_OUTPUT),
        ("schema_mismatch", {"side": "output"}, BOTH),
        ("schema_mismatch", {"schema": RESULT}, BOTH),
        ("schema_mismatch", {"schema": RESULT}, CHOICE),
        ("schema_mismatch", {"errors": []}, BOTH),
        ("unknown_schema", {}, None),
        ("unknown_schema", {}, BOTH),
        ("unknown_schema", {"pointer": "/c"}, CHOICE),
    ],
)
def test_a_mismatch_that_cannot_be_is_a_breach(
    kind: str, members: dict[str, object], checks: Checks | None
) -> None:
    verdict: SchemaVerdict = read(kind=kind, **members)
    with pytest.raises(ProtocolError):
        require_fitting(kind, verdict, checks)


async def test_a_job_without_schemas_has_no_mismatch() -> None:
    about = {"side": "input", "schema": EVENT, "errors": [ERROR]}
    verdict = test_protocol.verdict("schema_mismatch", **about)
    outcome, _ = await test_protocol.play(test_protocol.STARTED + verdict)
    assert isinstance(outcome, Crashed), outcome
    failure = {"line": 1, "failure": {"kind": "schema_mismatch", **about}}
    frame = test_stream_protocol.frame(Kind.ERROR, failure)
    outcome, *_ = await test_stream_protocol.play(test_stream_protocol.OPENED + frame)
    assert isinstance(outcome, Crashed), outcome


# ---- cells

SOURCE = "const process = d => d.n, map = process"


async def results(pool: SandboxPool) -> list[object]:
    """Run jobs with and without schemas, one after the other."""
    with_checks = checked(SOURCE)
    found: list[object] = []
    for _ in range(3):
        for payload in (b'{"n":1}', b'{"n":"1"}'):
            ran = await run_job(pool, with_checks, payload)
            found += [ran.outcome, ran.output]
        found.append((await run_job(pool, job(SOURCE), b'{"n":"1"}')).output)
        large = replace(with_checks, checks=large_checks())
        found.append((await run_job(pool, large, b'{"n":2}')).output)
        part = Part(task=Task.MAP)
        streamed = await stream(pool, with_checks, part, b'{"n":1}\n' * 3 + b'{"n":0.5}')
        found.append((streamed.report.outcome, streamed.report.line))
    return found


def large_checks() -> Checks:
    """Return schemas that take more than one frame, not in ASCII."""
    schemas = {EVENT: {"$ref": "urn:é"}, "urn:é": {"enum": [{"n": 2}, "\U0001f600é" * 300_000]}}
    documents = {uri: str(schema).replace("'", '"').encode() for uri, schema in schemas.items()}
    return Checks(
        schemas=replace(schema_set(), documents=documents, strict=frozenset()), input=EVENT
    )


async def test_every_way_to_make_an_isolate_validates() -> None:
    found = []
    for isolation, native in (
        (Isolation.CONTEXT, True),
        (Isolation.ISOLATE, True),
        (Isolation.PROCESS, False),
    ):
        config = PoolConfig(cells=1, warm=0, isolation=isolation, native=native, isolates=30)
        async with open_pool(config) as pool:
            found.append(await results(pool))
            if isolation is Isolation.CONTEXT:
                # One cell has run all of these jobs.
                assert not pool.kills
    assert found[0] == found[1] == found[2]
    assert isinstance(found[0][0], Succeeded)
    assert found[0][1] == b"1"
    assert isinstance(found[0][2], SchemaMismatch)
    assert found[0][4:6] == [b'"1"', b"2"]
