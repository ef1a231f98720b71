"""Resources of another tenant do not exist: every operation, with another tenant's key."""

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest

from app.auth.model import Scope
from tests.support.owned_resources import NOWHERE, SOURCE, Owned, own_everything
from tests.support.requests_with_bodies import FOLD
from tests.support.system import ROOT
from tests.support.system_with_keys import SystemWithKeys

PATHS: Final = json.loads((ROOT / "openapi" / "openapi.json").read_bytes())["paths"]
OPERATIONS: Final = {
    operation["operationId"]: (method.upper(), path, operation)
    for path, methods in PATHS.items()
    for method, operation in methods.items()
}
_NDJSON: Final = {"Content-Type": "application/x-ndjson"}

# Bodies that are valid on the caller's own resources.
BODIES: Final[dict[str, Any]] = {
    "describeScript": {"json": {"description": "mine"}},
    "addVersion": {"json": {"source": "const process = data => 1"}},
    "putScript": {"json": {"source": "const process = data => 1"}},
    "moveAlias": {"json": {"version": 1}},
    "putSchema": {"json": {"schema": {}}},
    "describeSchema": {"json": {"description": "mine"}},
    "moveSchemaAlias": {"json": {"version": 1}},
    "showSchemaTable": {"params": {"dialect": "duckdb"}},
    "headShowSchemaTable": {"params": {"dialect": "duckdb"}},
    "showExportTable": {"params": {"dialect": "hive"}},
    "headShowExportTable": {"params": {"dialect": "hive"}},
    "validateDocuments": {"json": 1},
    "submitRaw": {"content": b"1"},
    "putFile": {"content": b'{"pk":"a"}'},
    "createUpload": {"json": {}},
    "putPart": {"content": b'{"pk":"a"}'},
    "commitUpload": {"json": {"files": [{"path": "a", "parts": 1, "digest": "0" * 64}]}},
    "findRecords": {"json": {"keys": ["a"]}},
    "createComparison": {"json": {"from": 1, "to": 1}},
    "sendEvents": {"json": 1},
}
# Operations without an id in the path. Lists omit the owner's resources, the owner's names are
# free, and references in a body or a query are unknown.
WITHOUT_ID: Final = {
    "listScripts",
    "headListScripts",
    "createScript",
    "checkScript",
    "listSchemas",
    "headListSchemas",
    "checkSchema",
    "listExecutions",
    "headListExecutions",
    "submitEnvelope",
    "listDatasets",
    "headListDatasets",
    "submitBatch",
    "listBatches",
    "headListBatches",
    "createCallbackSecret",
    "listCallbackSecrets",
    "headListCallbackSecrets",
    "listDisabledUrls",
    "headListDisabledUrls",
    "createReplays",
    "createRedrive",
    "listRedrives",
    "headListRedrives",
    "createRun",
    "createExport",
    "listExports",
    "headListExports",
    "listRuns",
    "headListRuns",
    "listPipes",
    "headListPipes",
    "listDeadLetters",
    "headListDeadLetters",
    "countDeadLetters",
    "headCountDeadLetters",
    "downloadDeadLetters",
    "headDownloadDeadLetters",
    "eraseDeadLetters",
}
# Not tenant data.
NOBODYS: Final = {"live", "headLive", "ready", "headReady", "showIndex", "headShowIndex"}


@pytest.fixture(scope="module")
def owned(keyed: SystemWithKeys) -> Owned:
    return own_everything(keyed)


def _with_ids() -> Iterator[str]:
    for name, (_, path, operation) in OPERATIONS.items():
        of_admins = operation["security"] == [{"key": ["admin"]}]
        if "{" in path and not of_admins:
            yield name


def _filled(path: str, **ids: str) -> str:
    values = {
        **dict.fromkeys(
            (
                "script",
                "schema",
                "execution",
                "comparison",
                "batch",
                "upload",
                "run",
                "export",
                "letter",
                "redrive",
                "callback",
                "disabled",
            ),
            str(NOWHERE),
        ),
        "dataset": "nowhere",
        "pipe": "nowhere",
        "number": "1",
        "alias": "prod",
        "path": "a/parts/1" if path.startswith("/uploads") else "a",
        "key": "a",
        **ids,
    }
    for name, value in values.items():
        path = path.replace(f"{{{name}}}", value)
    assert "{" not in path
    return path


def test_every_operation_is_covered() -> None:
    admins = {
        name for name in OPERATIONS if OPERATIONS[name][2]["security"] == [{"key": ["admin"]}]
    }

    assert set(OPERATIONS) == set(_with_ids()) | WITHOUT_ID | admins | NOBODYS
    assert not WITHOUT_ID & (admins | NOBODYS | set(_with_ids()))


@pytest.mark.parametrize(
    # PUT under a free name creates a dataset or a pipe of the caller.
    "name",
    sorted(set(_with_ids()) - {"putDataset", "putPipe"}),
)
def test_a_foreign_id_is_answered_like_an_unknown_one(
    keyed: SystemWithKeys, owned: Owned, name: str
) -> None:
    method, path, _ = OPERATIONS[name]
    foreign = _filled(
        path,
        script=owned.script,
        schema=owned.schema,
        execution=owned.execution,
        dataset="hidden",
        pipe="hidden",
        upload=owned.upload,
        comparison=owned.comparison,
        batch=owned.batch,
        run=owned.run,
        export=owned.export,
        letter=owned.letter,
        redrive=owned.letter,
    )
    unknown = _filled(path)

    # The same id, which the response may repeat.
    what = {**BODIES.get(name, {}), "headers": {"X-Request-Id": "isolation"}}
    theirs = keyed.request(method, foreign, owned.stranger.key, **what)
    nobodys = keyed.request(method, unknown, owned.stranger.key, **what)

    assert theirs.status_code == 404
    assert owned.told(theirs) == owned.told(nobodys)


@pytest.mark.parametrize(
    # PUT under a free name creates a script or a schema of the caller.
    ("noun", "name"),
    [
        (noun, each)
        for noun in ("script", "schema")
        for each in sorted(set(_with_ids()) - {"putScript", "putSchema"})
        if f"{{{noun}}}" in OPERATIONS[each][1]
    ],
)
def test_a_name_that_only_another_has_is_unknown(
    keyed: SystemWithKeys, owned: Owned, noun: str, name: str
) -> None:
    method, path, _ = OPERATIONS[name]

    answer = keyed.request(
        method,
        _filled(path, **{noun: "hidden"}),
        owned.stranger.key,
        **BODIES.get(name, {}),
    )

    assert answer.status_code == 404
    if method != "HEAD":
        assert answer.json()["type"] == f"urn:crivo:problem:{noun}-not-found"


def test_lists_names_and_references_do_not_cross_tenants(
    keyed: SystemWithKeys, owned: Owned
) -> None:
    stranger = owned.stranger.key
    envelope = {"script": owned.script, "data": 1}

    assert keyed.get("/scripts?archived=true", stranger).json()["items"] == []
    assert keyed.get("/schemas?archived=true", stranger).json()["items"] == []
    foreign = {"schema": {"$ref": "crivo:/schemas/hidden@1"}}
    refused = keyed.request("PUT", "/schemas/own", stranger, json=foreign)
    assert refused.json()["errors"][0]["message"].startswith("there is no version 1")
    compared = keyed.post("/schemas/check", stranger, json={"schema": {}, "against": "hidden"})
    assert compared.json()["errors"][0]["pointer"] == "/against"
    assert keyed.get("/executions", stranger).json()["items"] == []
    assert keyed.get("/datasets", stranger).json()["items"] == []
    other = keyed.request("PUT", "/datasets/hidden", stranger, json={"format": "text"})
    assert (other.status_code, other.json()["latest_snapshot"]) == (201, None)
    assert keyed.get("/datasets/hidden", owned.owner.key).json()["key"] == "/pk"
    assert keyed.request("DELETE", "/datasets/hidden", stranger).status_code == 204
    assert keyed.get("/batches", stranger).json()["items"] == []
    assert keyed.get(f"/executions?batch={owned.batch}", stranger).json()["items"] == []
    elsewhere = f"/batches?script={owned.script}"
    assert keyed.post(elsewhere, stranger, content=b"1", headers=_NDJSON).status_code == 404
    assert keyed.get("/runs", stranger).json()["items"] == []
    assert keyed.get("/exports", stranger).json()["items"] == []
    exported = keyed.post("/exports", stranger, json={"dataset": "hidden"})
    assert (exported.status_code, exported.json()["errors"][0]["pointer"]) == (404, "/dataset")
    assert keyed.get(f"/executions?run={owned.run}", stranger).json()["items"] == []
    own = keyed.post("/scripts", stranger, json={"name": "own-fold", "source": FOLD})
    assert own.status_code == 201
    for script, dataset, pointer in (
        ("hidden-fold", "hidden", "/script"),
        ("own-fold", "hidden", "/dataset"),
    ):
        wanted = {"script": script, "dataset": dataset}
        refused = keyed.post("/runs", stranger, json=wanted)
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (404, pointer)
    secret = keyed.post("/callbacks/secrets", owned.owner.key, json={})
    assert secret.status_code == 201
    assert keyed.get("/callbacks/secrets", stranger).json()["items"] == []
    assert keyed.get("/callbacks/disabled-urls", stranger).json()["items"] == []
    assert keyed.get(f"/executions?script={owned.script}", stranger).status_code == 404
    assert keyed.post("/executions", stranger, json=envelope).status_code == 404
    assert keyed.post("/scripts/check", stranger, json={"source": SOURCE}).status_code == 200
    # A third tenant takes the name: to the second it must stay unknown.
    keyed.tenant("isolation-namesake")
    namesake = keyed.key("isolation-namesake").key
    mine = keyed.post("/scripts", namesake, json={"name": "hidden", "source": SOURCE})
    assert mine.status_code == 201
    assert mine.json()["id"] != owned.script
    put = keyed.request("PUT", "/scripts/hidden", namesake, json={"source": SOURCE})
    assert (put.status_code, put.json()["id"]) == (200, mine.json()["id"])
    archived = keyed.request("DELETE", f"/scripts/{mine.json()['id']}", namesake)
    assert archived.json()["archived_at"] is not None
    assert keyed.get("/scripts/hidden", owned.owner.key).json()["archived_at"] is None


@pytest.mark.parametrize(
    "name", sorted(name for name, each in OPERATIONS.items() if each[2]["security"] != [{}])
)
def test_an_operation_needs_a_key_and_the_scope_that_the_document_names(
    keyed: SystemWithKeys, name: str
) -> None:
    method, path, operation = OPERATIONS[name]
    [[needed]] = [each["key"] for each in operation["security"]]
    others = [scope for scope in Scope if scope != needed]
    lacking = keyed.key("default", others)

    without = keyed.request(method, path, "")
    refused = keyed.request(method, path, lacking.key)

    assert without.status_code == 401
    assert without.headers["WWW-Authenticate"] == 'Bearer realm="crivo"'
    assert refused.status_code == 403
    if method != "HEAD":
        assert refused.json()["type"] == "urn:crivo:problem:missing-scope"
        assert needed in refused.json()["detail"]
    assert f'scope="{needed}"' in refused.headers["WWW-Authenticate"]


def test_these_addresses_alone_need_no_key(keyed: SystemWithKeys) -> None:
    free = ["/", "/health/live", "/health/ready", "/docs", "/openapi.json", "/favicon.ico"]
    assets = [f"/docs/assets/{name}" for name in ("index.html", "reference.js", "reference.css")]

    assert {each: keyed.get(each, "").status_code for each in free + assets} == dict.fromkeys(
        free + assets, 200
    )
    assert {
        path for path, each in PATHS.items() for it in each.values() if it["security"] == [{}]
    } == {"/", "/health/live", "/health/ready"}
