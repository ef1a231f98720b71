"""Examples of the OpenAPI document are real: each is sent, and its response compared.

To record intended changes, run this file with RECORD_EXAMPLES=1, then `scripts/openapi --write`.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx
import jsonschema_rs
import msgspec
import pytest

from app.exports.reference import PARQUET
from app.http.openapi_parameters import (
    Example,
    load_examples,
)
from app.tenants.model import DEFAULT_TENANT
from tests.support.example_story import LETTERS, MENDED, PASSED, PAYMENT, STORY
from tests.support.openapi_document import with_responses
from tests.support.recorded_examples import METRICS, assert_equal
from tests.support.servers import execute
from tests.support.system import ROOT, System, stop

RECORDED: Final = [
    ROOT / "app" / noun / "examples.json"
    for noun in (
        "scripts",
        "schemas",
        "executions",
        "batches",
        "callbacks",
        "replays",
        "comparisons",
        "tenants",
        "keys",
        "audit",
        "datasets",
        "runs",
        "exports",
        "pipes",
        "dead_letters",
        "redrives",
        "workers",
        "prometheus",
        "docs",
    )
]

Json = Any


@pytest.fixture(scope="module")
def document() -> dict[str, Json]:
    return with_responses(json.loads((ROOT / "openapi" / "openapi.json").read_bytes()))


def _operations(document: dict[str, Json]) -> Iterator[tuple[str, str, dict[str, Json]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            # HEAD has no examples: it equals GET.
            if method != "head":
                yield method.upper(), path, operation


def test_every_example_gets_its_recorded_response(
    stopped_system: System, document: dict[str, Json]
) -> None:
    system = stopped_system.start()
    operations = {each["operationId"]: (m, p, each) for m, p, each in _operations(document)}
    assert set(STORY) == set(operations)
    ids: dict[str, str] = {}

    for name in STORY:
        method, path, operation = operations[name]
        for example in _recorded()[name]:
            _prepare(system, name, example, ids)
            answer = _send(system, method, path, operation, _with_ids(example, ids))

            where = f"{name}: {example.name}"
            if method in ("POST", "PUT"):
                _learn_id(example.answer, answer, ids)
            if name.startswith("list") and name.endswith("Callbacks") and answer.is_success:
                [recorded], [live] = example.answer["items"], answer.json()["items"]
                ids[recorded["id"]] = live["id"]
            if answer.status_code == 202 and "Location" in answer.headers:
                system.finished(answer.headers["Location"])
            if "RECORD_EXAMPLES" in os.environ:
                _record(name, _with_ids(example, ids), answer)
                continue
            assert answer.status_code == example.status, (where, answer.text)
            _fits(document, operation, answer, where)
            assert_equal(_with_ids(example, ids).answer, _body_of(answer), where)
        if not system.workers:
            system.start_worker()
            system.await_ready()


def _prepare(system: System, name: str, example: Example, ids: dict[str, str]) -> None:
    """Make what an example needs."""
    match name, example.status:
        case "cancelExecution", 200:
            # Queued without a worker, so that it can be cancelled.
            stop(system.workers.pop())
            location = system.submit("total", b"[]")
            ids[example.parameters["execution"]] = location.rpartition("/")[2]
        case "cancelBatch", 200:
            stop(system.workers.pop())
            location = _submit_batch(system, "total", b"[]\n[]\n")
            ids[example.parameters["batch"]] = location.rpartition("/")[2]
        case "createRun", _ if example.name == "publish":
            system.upload("passed", PASSED)
            [shown, *_] = _recorded()["showRun"]
            ids[shown.answer["script"]["id"]] = system.client.get("/scripts/passed").json()["id"]
        case "cancelRun", 200:
            stop(system.workers.pop())
            body = {"script": "passed", "dataset": "scores", "params": {"pass": 200}}
            location = system.client.post("/runs", json=body).headers["Location"]
            ids[example.parameters["run"]] = location.rpartition("/")[2]
        case "cancelExport", 200:
            stop(system.workers.pop())
            location = system.client.post("/exports", json={"dataset": "scores"}).headers[
                "Location"
            ]
            ids[example.parameters["export"]] = location.rpartition("/")[2]
        case "createRedrive", 200:
            assert system.client.put("/scripts/passed", json={"source": MENDED}).is_success
        case "cancelRedrive", 200:
            system.run("total", b"null")
            stop(system.workers.pop())
            filter_ = {"execution": {"script": "total", "error.kind": "script_error"}}
            made = system.client.post("/redrives", json={"filter": filter_})
            ids[example.parameters["redrive"]] = made.json()["id"]
        case "listDeadLetters", 200 if example.name == "of-pipe":
            put = system.client.put("/schemas/payment", json={"schema": PAYMENT})
            assert put.status_code == 201, put.text
            execute(system.environ["DATABASE_URL"], LETTERS)
        case "listDisabledUrls", 200:
            [disabled] = example.answer["items"]
            execute(system.environ["DATABASE_URL"], _disable(disabled["id"], disabled["url"]))
        case _:
            pass


def test_the_document_shows_the_recorded_examples(document: dict[str, Json]) -> None:
    shown = 0
    for _, _, operation in _operations(document):
        for example in _recorded()[operation["operationId"]]:
            content = operation["responses"][str(example.status)].get("content", {})
            # What is of any media type has no example.
            examples = [
                each for body in content.values() for each in body.get("examples", {}).items()
            ]
            if content:
                assert (example.name, example.answer) in [
                    (name, each["value"]) for name, each in examples
                ]
            shown += 1
    assert shown == sum(len(each) for each in _recorded().values())


def test_every_operation_has_examples_of_success_and_error(
    document: dict[str, Json],
) -> None:
    for _, _, operation in _operations(document):
        assert operation["summary"]
        assert operation["description"]
        statuses = {example.status for example in _recorded()[operation["operationId"]]}
        for status in operation["responses"]:
            assert status[0] != "2" or int(status) in statuses, operation["operationId"]
        if "parameters" in operation or "requestBody" in operation:
            assert any(status >= 400 for status in statuses), operation["operationId"]
        for parameter in operation.get("parameters", ()):
            assert parameter["description"], (operation["operationId"], parameter["name"])
        for body in operation.get("requestBody", {}).get("content", {}).values():
            assert body["examples"]


def test_every_example_fits_its_schema(
    document: dict[str, Json],
) -> None:
    for _, path, operation in _operations(document):
        for status, response in operation["responses"].items():
            for media_type, body in response.get("content", {}).items():
                if path != "/health/ready" and media_type != "*/*":
                    assert body.get("examples"), (operation["operationId"], status)
                for example in body.get("examples", {}).values():
                    _validator(document, body["schema"]).validate(example["value"])


def _submit_batch(system: System, script: str, lines: bytes) -> str:
    headers = {"Content-Type": "application/x-ndjson"}
    answer = system.client.post(
        "/batches", params={"script": script}, content=lines, headers=headers
    )
    return str(answer.headers["Location"])


def _recorded() -> dict[str, list[Example]]:
    return {name: each for path in RECORDED for name, each in load_examples(path).items()}


def _send(
    system: System, method: str, path: str, operation: dict[str, Json], example: Example
) -> httpx.Response:
    query: dict[str, Json] = {}
    headers: dict[str, str] = {}
    for parameter in operation.get("parameters", ()):
        value = example.parameters.get(parameter["name"])
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", quote(str(value), safe="@"))
        elif value is not None and parameter["in"] == "header":
            headers[parameter["name"]] = value
        elif value is not None:
            query[parameter["name"]] = value
    content: bytes | None = None
    files: list[tuple[str, tuple[str | None, str]]] | None = None
    if example.media_type == "multipart/form-data":
        files = [
            (name, ("script.js" if name == "file" else None, value))
            for name, value in example.body.items()
        ]
    elif example.media_type:
        headers["Content-Type"] = example.media_type
        as_it_is = isinstance(example.body, str)
        content = example.body.encode() if as_it_is else json.dumps(example.body).encode()
    return system.client.request(
        method, path, params=query, headers=headers, content=content, files=files
    )


def _disable(disabled_id: str, url: str) -> str:
    """Return the statement that stands for an answer with 410."""
    return f"""
    INSERT INTO disabled_callback_urls (id, tenant_id, url)
    VALUES ('{disabled_id}', '{DEFAULT_TENANT}', '{url}')
    """  # noqa: S608 - constants of recorded examples


def _body_of(answer: httpx.Response) -> Json:
    if not answer.content:
        return msgspec.UNSET
    media_type = answer.headers["Content-Type"].partition(";")[0]
    if media_type == PARQUET:
        # The rest is no text.
        return answer.content[: len("PAR1")].decode()
    is_json = media_type.endswith(("/json", "+json"))
    return answer.json() if is_json else answer.text


def _fits(
    document: dict[str, Json], operation: dict[str, Json], answer: httpx.Response, where: str
) -> None:
    content = operation["responses"][str(answer.status_code)].get("content", {})
    assert bool(content) == bool(answer.content), where
    if content:
        media_type = answer.headers["Content-Type"].partition(";")[0]
        assert media_type in content, where
        _validator(document, content[media_type]["schema"]).validate(_body_of(answer))


def _validator(document: dict[str, Json], schema: Json) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(
        {**schema, "components": document["components"]}, validate_formats=True
    )


def _learn_id(expected: Json, answer: httpx.Response, ids: dict[str, str]) -> None:
    """Map recorded ids to ids of this system."""
    if answer.is_success and isinstance(expected, dict) and "id" in expected:
        ids[expected["id"]] = answer.json()["id"]
        if answer.headers.get("Location", "").startswith("/exports/"):
            # The names of its files begin with the end of its id.
            ids[f"{expected['id'][-12:]}-"] = f"{answer.json()['id'][-12:]}-"


def _with_ids(example: Example, ids: dict[str, str]) -> Example:
    text = msgspec.json.encode(example).decode()
    for recorded, live in ids.items():
        text = text.replace(recorded, live)
    return msgspec.json.decode(text, type=Example)


def _record(operation: str, example: Example, answer: httpx.Response) -> None:
    """Record a response without this machine's name and without secrets of keys."""
    assert answer.status_code == example.status, (operation, example.name, answer.text)
    body = _body_of(answer)
    for worker in body.get("workers", ()) if isinstance(body, dict) else ():
        worker["host"] = "worker-1"
    if isinstance(body, str) and body.startswith(METRICS):
        # A few hand-picked lines.
        return
    if operation == "createKey" and isinstance(body, dict) and "key" in body:
        body["key"] = f"{body['key'][:37]}{'x' * 43}"
    if isinstance(body, dict) and "secret" in body:
        body["secret"] = f"whsec_{'x' * 43}="
    example = msgspec.structs.replace(example, answer=body)
    path = next(path for path in RECORDED if operation in load_examples(path))
    known = load_examples(path)
    known[operation] = [example if each.name == example.name else each for each in known[operation]]
    Path(path).write_bytes(msgspec.json.format(msgspec.json.encode(known), indent=2) + b"\n")
