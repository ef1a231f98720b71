"""PUT creates a schema, adds a version, or changes nothing; what is not right is refused."""

import json
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, Final
from uuid import uuid4

import httpx
import pytest

from tests.support.system import System

_JSON: Final = {"Content-Type": "application/json"}


@pytest.fixture
def name() -> str:
    return f"events-{uuid4()}"


def put(system: System, name: str, schema: object, **members: object) -> httpx.Response:
    return system.client.put(f"/schemas/{name}", json={"schema": schema, **members})


def _code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].removeprefix("urn:crivo:problem:")


def _numbers(answer: httpx.Response) -> tuple[int, int]:
    return answer.status_code, answer.json()["latest_version"]["version"]


def test_put_creates_a_schema_then_adds_versions_then_changes_nothing(
    system: System, name: str
) -> None:
    answers = [
        put(system, name, {"type": "object"}, note="first"),
        put(system, name, {"type": "object"}, note="the same"),
        put(system, name, {"type": "object"}, strict=False),
        put(system, name, {"type": "object"}),
    ]

    assert [_numbers(each) for each in answers] == [(201, 1), (200, 1), (201, 2), (201, 3)]
    assert len({each.json()["id"] for each in answers}) == 1
    for answer in answers:
        assert system.client.get(answer.headers["Location"]).status_code == 200
    first = system.client.get(f"/schemas/{name}@1").json()["version"]
    assert (first["note"], first["strict"], first["verdict"]) == ("first", True, None)
    assert first["uri"] == f"crivo:/schemas/{name}@1"
    versions = system.client.get(f"/schemas/{name}/versions").json()["items"]
    assert [each["version"] for each in versions] == [3, 2, 1]
    assert [each["verdict"]["against"] for each in versions[:2]] == [2, 1]


def test_a_schema_is_kept_byte_for_byte(system: System, name: str) -> None:
    document = (
        '{ "type":\t"object",\n  "properties": {"a\\u00e9é": {"const": 1.50e400}, "a": {} } }'
    )
    body = f'{{"note":"", "schema": {document} , "strict":false}}'.encode()

    system.client.put(f"/schemas/{name}", content=body, headers=_JSON).raise_for_status()
    found = system.client.get(f"/schemas/{name}/document")
    known = system.client.get(
        f"/schemas/{name}@1/document", headers={"If-None-Match": found.headers["ETag"]}
    )

    assert found.content == document.encode()
    assert found.headers["Content-Type"] == "application/json"
    assert found.headers["Content-Location"] == f"/schemas/{name}@1/document"
    assert (known.status_code, known.content) == (304, b"")


def test_every_error_of_a_schema_has_its_place(system: System, name: str) -> None:
    wrong = {"properties": {"a": {"type": "text"}, "b/c": {"minLength": -1}}}

    refused = put(system, name, wrong)

    assert _code(refused) == (422, "invalid-schema")
    pointers = {each["pointer"] for each in refused.json()["errors"]}
    assert pointers >= {"/properties/a/type", "/properties/b~1c/minLength"}
    assert system.client.get(f"/schemas/{name}").status_code == 404


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"schema": {"type": [}}', (400, "malformed-request")),
        (b'{"schema": {"const": "\t"}}', (400, "malformed-request")),
        (b'{"schema": ' + b"[" * 5_000 + b"]" * 5_000 + b"}", (400, "malformed-request")),
        (b'{"schema": {"pattern": "("}}', (422, "invalid-schema")),
        (b'{"schema": 1}', (422, "invalid-schema")),
        (b'{"schema": {"const": "\\ud800"}}', (400, "malformed-request")),
        (b'{"schema": {"$schema": "https://elsewhere.example/"}}', (422, "invalid-schema")),
        (b'{"schema": {}, "note": "' + b"n" * 2**21 + b'"}', (413, "body-too-large")),
        (b'{"schema": {"const": "' + b"x" * 2**20 + b'"}}', (413, "schema-too-large")),
    ],
)
def test_what_is_no_schema_is_refused(
    system: System, name: str, body: bytes, expected: tuple[int, str]
) -> None:
    refused = system.client.put(f"/schemas/{name}", content=body, headers=_JSON)

    assert _code(refused) == expected
    assert system.client.get(f"/schemas/{name}").status_code == 404


def test_references_name_exact_versions_and_make_the_closure(system: System, name: str) -> None:
    inner, middle = f"inner-{name}"[:60], f"middle-{name}"[:60]
    put(system, inner, {"type": "integer"}).raise_for_status()
    put(system, middle, {"$defs": {"i": {"$ref": f"crivo:/schemas/{inner}@1"}}}).raise_for_status()
    put(system, inner, {"type": "string"}).raise_for_status()

    added = put(
        system, name, {"properties": {"n": {"$ref": f"crivo:/schemas/{middle}@1#/$defs/i"}}}
    )
    found = [_validate(system, name, {"n": value})["valid"] for value in (1, "one")]

    assert added.json()["latest_version"]["references"] == [f"{middle}@1"]
    assert found == [True, False]


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("crivo:/schemas/{inner}@prod", "no exact version"),
        ("crivo:/schemas/{inner}", "no exact version"),
        ("{inner}@1", "written in full, like crivo:/schemas/"),
        ("{inner}@prod#/x", "written in full, like crivo:/schemas/"),
        ("crivo:/schemas/{inner}@2", "no version 2"),
        ("crivo:/schemas/nowhere-{inner}@1", "no version 1 of a schema 'nowhere-"),
        ("https://json-schema.org/elsewhere", ""),
        ("#/$defs/missing", ""),
    ],
)
def test_a_reference_that_leads_nowhere_is_refused_at_its_place(
    system: System, name: str, reference: str, message: str
) -> None:
    inner = f"in-{name}"[:50]
    put(system, inner, {"type": "integer"}).raise_for_status()
    system.client.put(f"/schemas/{inner}/aliases/prod", json={"version": 1}).raise_for_status()

    refused = put(system, name, {"items": {"$ref": reference.format(inner=inner)}})

    assert _code(refused) == (422, "invalid-schema")
    (error,) = refused.json()["errors"]
    assert error["pointer"] == "/items/$ref"
    assert message in error["message"]


def test_what_looks_like_a_reference_may_be_data(system: System, name: str) -> None:
    value = {"$ref": "crivo:/schemas/nowhere@prod"}

    assert put(system, name, {"enum": [value]}).status_code == 201
    assert _validate(system, name, value) == {"valid": True}


def test_a_demanded_compatibility_is_held(system: System, name: str) -> None:
    old = {"properties": {"a": {"type": "integer"}}}
    new = {"properties": {"a": {"type": "integer"}}, "required": ["a"]}
    put(system, name, old, compatibility="backward", strict=False).raise_for_status()

    checked = system.client.post(
        "/schemas/check", json={"schema": new, "against": name, "strict": False}
    ).json()
    refused = put(system, name, new, strict=False)
    same = put(system, name, old, strict=False, compatibility="none")
    added = put(system, name, new, strict=False)

    assert checked["accepted"] is False
    assert checked["verdict"]["backward"] is not True
    assert _code(refused) == (409, "incompatible-schema")
    assert refused.json()["errors"][0]["direction"] == "backward"
    assert _numbers(same) == (200, 1)
    assert same.json()["compatibility"] == "none"
    assert _numbers(added) == (201, 2)
    assert added.json()["latest_version"]["verdict"]["backward"] is not True


def test_concurrent_puts_lose_and_double_nothing(system: System, name: str) -> None:
    with ThreadPoolExecutor(8) as threads:
        answers = list(
            threads.map(lambda n: put(system, name, {"const": n % 4}, note=str(n)), range(8))
        )
    versions = system.client.get(f"/schemas/{name}/versions").json()["items"]

    assert {each.status_code for each in answers} <= {200, 201, 409}
    added = [each for each in answers if each.status_code == 201]
    assert [each["version"] for each in versions] == list(range(len(added), 0, -1))
    for newer, older in pairwise(versions):
        assert newer["sha256"] != older["sha256"]
        assert newer["verdict"]["against"] == older["version"]


def test_an_archived_schema_keeps_working_and_takes_nothing_new(system: System, name: str) -> None:
    user = f"user-{name}"[:60]
    put(system, name, {"type": "integer"}).raise_for_status()
    reference = {"$ref": f"crivo:/schemas/{name}@1"}
    put(system, user, reference).raise_for_status()

    archived = system.client.delete(f"/schemas/{name}").json()
    refused = put(system, name, {"type": "string"})
    referring = put(system, user, {"items": reference})
    again = put(system, user, reference)
    restored = system.client.patch(f"/schemas/{name}", json={"archived": False}).json()

    assert archived["archived_at"] is not None
    assert _code(refused) == (409, "schema-archived")
    assert "archived" in referring.json()["errors"][0]["message"]
    assert _numbers(again) == (200, 1)
    assert _validate(system, user, 1) == {"valid": True}
    assert restored["archived_at"] is None


def test_changes_are_logged_once(system: System, name: str) -> None:
    schema = put(system, name, {}).json()["id"]
    for number in (1, 1, 2):
        put(system, name, {"const": number}, compatibility="none").raise_for_status()
    alias = f"/schemas/{name}/aliases/prod"
    for _ in range(2):
        system.client.put(alias, json={"version": 2}).raise_for_status()
    system.client.delete(alias).raise_for_status()

    entries = system.client.get("/audit", params={"limit": 6}).json()["items"]
    found = [(each["action"], each["target"].partition(schema)[2]) for each in entries]
    assert found[:5] == [
        ("alias.removed", "/aliases/prod"),
        ("alias.moved", "/aliases/prod"),
        ("version.added", "/versions/3"),
        ("version.added", "/versions/2"),
        ("schema.created", ""),
    ]


def test_preconditions_only_create_or_only_change(system: System, name: str) -> None:
    address, body = f"/schemas/{name}", json.dumps({"schema": {}})
    headers = {**_JSON, "If-Match": "*"}

    missing = system.client.put(address, content=body, headers=headers)
    created = system.client.put(address, content=body, headers={**_JSON, "If-None-Match": "*"})
    exists = system.client.put(address, content=body, headers={**_JSON, "If-None-Match": "*"})
    changed = system.client.put(address, content=body, headers=headers)

    statuses = [each.status_code for each in (missing, created, exists, changed)]
    assert statuses == [412, 201, 412, 200]


def _validate(system: System, name: str, document: object) -> dict[str, Any]:
    answer = system.client.post(f"/schemas/{name}/validate", json=document)
    found: dict[str, Any] = answer.raise_for_status().json()
    return found


def test_a_registered_meta_schema_decides_which_keywords_count(system: System, name: str) -> None:
    vocabulary = "https://json-schema.org/draft/2020-12/vocab/"
    meta = f"meta-{name}"[:60]
    vocabularies = {f"{vocabulary}core": True, f"{vocabulary}applicator": True}
    put(system, meta, {"$vocabulary": vocabularies}).raise_for_status()
    uri = f"crivo:/schemas/{meta}@1"

    added = put(system, name, {"$schema": uri, "properties": {"a": {"type": "string"}}})
    missing = put(system, name, {"$schema": f"crivo:/schemas/{meta}@2"})

    assert added.json()["latest_version"]["references"] == [f"{meta}@1"]
    assert _validate(system, name, {"a": 1})["valid"]
    assert _code(missing) == (422, "invalid-schema")
    assert missing.json()["errors"][0]["pointer"] == "/$schema"


def test_no_identifier_takes_the_place_of_a_registered_schema(system: System, name: str) -> None:
    taken = {"$defs": {"x": {"$id": f"crivo:/schemas/{name}@9"}}}

    refused = put(system, name, taken)

    assert _code(refused) == (422, "invalid-schema")
    assert refused.json()["errors"][0]["pointer"] == "/$defs/x/$id"


def test_relative_identifiers_resolve_against_the_one_around(system: System, name: str) -> None:
    item = {"$id": "item", "type": "string"}
    nested = {"$id": "parts/", "$defs": {"x": {"$id": "item", "type": "integer"}}}
    properties = {"a": {"$ref": "item"}, "b": {"$ref": "parts/item"}, "c": {"$ref": "parts/#/at"}}
    schema = {
        "$defs": {"i": item, "n": {**nested, "at": {"$ref": "item"}}},
        "properties": properties,
    }

    put(system, name, schema).raise_for_status()
    changed = put(system, name, {**schema, "minProperties": 1})

    assert _validate(system, name, {"a": "x", "b": 1, "c": 1}) == {"valid": True}
    wrong = _validate(system, name, {"a": 1, "b": "x", "c": "x"})["errors"]
    assert {each["pointer"] for each in wrong} == {"/a", "/b", "/c"}
    assert changed.json()["latest_version"]["verdict"]["forward"] is True
