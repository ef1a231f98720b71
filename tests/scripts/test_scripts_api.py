"""Scripts, versions and aliases are stored, listed and refused over HTTP."""

import json
from typing import Any

import httpx
import pytest

from tests.support.system import System

IDENTITY = "const process = data => data"


def _create(system: System, name: str, **members: Any) -> httpx.Response:  # noqa: ANN401 - any JSON
    return system.client.post("/scripts", json={"name": name, "source": IDENTITY, **members})


def _problem(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["detail"]
    return answer.status_code, problem["type"].removeprefix("urn:crivo:problem:")


def test_a_script_is_found_by_its_id_and_by_its_name(system: System) -> None:
    created = _create(system, "found", description="a sieve", note="first").json()

    by_name = system.client.get("/scripts/found").json()
    by_id = system.client.get(f"/scripts/{created['id']}").json()

    assert {**by_name, "warnings": []} == {**by_id, "warnings": []} == created
    assert created["description"] == "a sieve"
    assert created["latest_version"]["note"] == "first"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Upper",
        "-dash",
        "newline\n",
        "a" * 64,
        "space d",
        "check",
        "01a1fbd6-7e18-7587-910d-dd5a6f1c07db",
    ],
)
def test_an_invalid_name_is_refused(system: System, name: str) -> None:
    answer = _create(system, name)

    assert _problem(answer) == (422, "invalid-request")
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/name"]


def test_a_taken_name_is_a_conflict_even_when_archived(system: System) -> None:
    assert _create(system, "taken").status_code == 201
    assert _problem(_create(system, "taken")) == (409, "name-taken")

    assert system.client.delete("/scripts/taken").json()["archived_at"]

    assert _problem(_create(system, "taken")) == (409, "name-taken")


def test_an_archived_script_can_be_read_but_not_run_or_changed(system: System) -> None:
    _create(system, "archived")
    system.client.delete("/scripts/archived")

    run = system.client.post("/scripts/archived/executions", content=b"1")
    add = system.client.post("/scripts/archived/versions", json={"source": "function process(_){}"})
    listed = system.client.get("/scripts", params={"limit": 200}).json()["items"]
    with_archived = system.client.get("/scripts", params={"limit": 200, "archived": True}).json()

    assert _problem(run) == _problem(add) == (409, "script-archived")
    assert system.client.get("/scripts/archived/versions/1/source").text == IDENTITY
    assert "archived" not in {script["name"] for script in listed}
    assert "archived" in {script["name"] for script in with_archived["items"]}

    back = system.client.patch("/scripts/archived", json={"archived": False})

    assert back.json()["archived_at"] is None
    assert system.run("archived", b"1")["result"] == 1


def test_the_list_pages_by_cursor_without_gaps_or_repeats(system: System) -> None:
    names = [f"paged-{number}" for number in range(5)]
    for name in names:
        _create(system, name)

    seen: list[str] = []
    cursor: str | None = None
    while len(seen) < 5 or cursor:
        params = {"limit": "2", **({"cursor": cursor} if cursor else {})}
        page = system.client.get("/scripts", params=params).json()
        assert len(page["items"]) <= 2
        seen += [script["name"] for script in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break

    assert [name for name in seen if name in names] == names[::-1]
    assert len(seen) == len(set(seen))


def test_versions_are_numbered_and_never_change(system: System) -> None:
    _create(system, "counted")
    sources = [f"const process = _ => {number}" for number in (1, 2, 3)]

    added = [
        system.client.post("/scripts/counted/versions", json={"source": source})
        for source in sources
    ]
    again = system.client.post("/scripts/counted/versions", json={"source": sources[-1]})
    older = system.client.post("/scripts/counted/versions", json={"source": sources[0]})

    assert [answer.json()["version"] for answer in added] == [2, 3, 4]
    assert (again.status_code, again.json()) == (200, added[-1].json())
    assert (older.status_code, older.json()["version"]) == (201, 5)
    listed = system.client.get("/scripts/counted/versions").json()
    assert [version["version"] for version in listed["items"]] == [5, 4, 3, 2, 1]
    for answer, source in zip(added, sources, strict=True):
        assert system.client.get(answer.headers["Location"] + "/source").text == source
        shown = system.client.get(answer.headers["Location"]).json()
        assert {**shown, "warnings": []} == answer.json()


def test_the_same_source_with_other_limits_is_another_version(system: System) -> None:
    _create(system, "limited")

    answer = system.client.post(
        "/scripts/limited/versions", json={"source": IDENTITY, "limits": {"wall_ms": 50}}
    )

    assert (answer.status_code, answer.json()["version"]) == (201, 2)
    assert system.run("limited", b"1")["receipt"]["limits"]["wall_ms"] == 50
    assert system.run("limited", b"1", wall_ms=60)["receipt"]["limits"]["wall_ms"] == 60
    assert system.run("limited@1", b"1")["receipt"]["limits"]["wall_ms"] == 10_000


def test_a_source_comes_back_byte_for_byte(system: System) -> None:
    source = "\ufeff/* \u00e9\u2028 \U0001f600 */\r\n\tconst process = d => d\r".encode()
    system.upload("bytes", source)

    assert system.client.get("/scripts/bytes/versions/1/source").content == source


def test_an_alias_is_moved_resolved_and_removed(system: System) -> None:
    _create(system, "aliased", source="const process = _ => 1")
    system.client.post("/scripts/aliased/versions", json={"source": "const process = _ => 2"})
    address = "/scripts/aliased/aliases/prod"

    assert system.client.put(address, json={"version": 1}).json()["version"] == 1
    assert system.run("aliased@prod", b"0")["result"] == 1
    assert system.client.put(address, json={"version": 2}).json()["version"] == 2
    assert system.run("aliased@prod", b"0")["result"] == 2
    listed = system.client.get("/scripts/aliased/aliases").json()["items"]
    assert [each["alias"] for each in listed] == ["prod"]
    assert system.client.delete(address).status_code == 204
    run = system.client.post("/scripts/aliased@prod/executions", content=b"0")
    assert _problem(run) == (404, "version-not-found")


@pytest.mark.parametrize("alias", ["latest", "1", "Upper", "-x", "prod%0A"])
def test_an_ambiguous_alias_is_refused(system: System, alias: str) -> None:
    name = f"confusing-{sum(alias.encode())}"
    _create(system, name)

    answer = system.client.put(f"/scripts/{name}/aliases/{alias}", json={"version": 1})

    assert _problem(answer) == (422, "invalid-request")


@pytest.mark.parametrize(
    "path",
    [
        "/scripts/nobody",
        "/scripts/Not%20A%20Name",
        "/scripts/01a1fbd6-7e18-7587-910d-dd5a6f1c07db",
        "/scripts/nobody/versions",
        "/scripts/nobody/versions/1",
        "/scripts/nobody/aliases",
    ],
)
def test_an_unknown_script_is_a_404(system: System, path: str) -> None:
    assert _problem(system.client.get(path)) == (404, "script-not-found")


@pytest.mark.parametrize("number", ["0", "-1", "2", "x", "9" * 20, "%D9%A1"])
def test_an_unknown_version_is_a_404(system: System, number: str) -> None:
    system.client.post("/scripts", json={"name": "one-version", "source": IDENTITY})

    answer = system.client.get(f"/scripts/one-version/versions/{number}")

    assert _problem(answer) == (404, "version-not-found")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", (400, "malformed-request")),
        (b"{", (400, "malformed-request")),
        (b"[]", (422, "invalid-request")),
        (b'{"name": "x"}', (422, "invalid-request")),
        (b'{"name": "x", "source": 1}', (422, "invalid-request")),
        (b'{"name": "x", "source": "", "surprise": 1}', (422, "invalid-request")),
        (b'{"name": "x", "source": "", "note": "\\u0000"}', (422, "invalid-request")),
        (b'{"name": "x", "source": "", "limits": {"wall_ms": 0}}', (422, "invalid-request")),
        (b'{"name": "x", "source": "", "limits": {"wall_ms": 1e9}}', (422, "invalid-request")),
        (b'{"name": "x", "source": "\\ud800"}', (400, "malformed-request")),
        (b'{"name": "x", "source": "\xff"}', (400, "malformed-request")),
    ],
)
def test_an_invalid_body_is_refused(system: System, body: bytes, expected: tuple[int, str]) -> None:
    headers = {"Content-Type": "application/json"}

    assert _problem(system.client.post("/scripts", content=body, headers=headers)) == expected


@pytest.mark.parametrize(
    "content_type", ["application/xml", "", "application/x-www-form-urlencoded"]
)
def test_an_unknown_media_type_is_415(system: System, content_type: str) -> None:
    answer = system.client.post("/scripts", content=b"<x/>", headers={"Content-Type": content_type})

    assert _problem(answer) == (415, "unsupported-media-type")


def test_a_source_over_its_limit_is_413_and_one_below_is_accepted(system: System) -> None:
    below = IDENTITY + " " * (2**20 - len(IDENTITY))
    headers = {"Content-Type": "text/javascript"}

    taken = system.client.post("/scripts?name=huge", content=below, headers=headers)
    refused = system.client.post("/scripts?name=huger", content=below + " ", headers=headers)

    assert taken.status_code == 201
    assert taken.json()["latest_version"]["size_bytes"] == 2**20
    assert _problem(refused) == (413, "source-too-large")


def test_invalid_utf8_in_a_raw_upload_has_its_position(system: System) -> None:
    headers = {"Content-Type": "text/javascript"}
    source = "\u00e9\n  x\U0001f600".encode() + b"\xff"

    answer = system.client.post("/scripts?name=latin", content=source, headers=headers)

    assert _problem(answer) == (422, "invalid-script")
    [finding] = answer.json()["errors"]
    assert (finding["code"], finding["line"], finding["column"]) == ("invalid_utf8", 2, 6)


@pytest.mark.parametrize(
    ("fields", "files", "pointer"),
    [
        ({"name": "form-x"}, {}, "/file"),
        ({"name": "form-x", "surprise": "1"}, {"file": IDENTITY}, "/surprise"),
        ({}, {"file": IDENTITY}, "/name"),
        ({"name": "form-x", "wall_ms": "soon"}, {"file": IDENTITY}, "/wall_ms"),
    ],
)
def test_an_invalid_form_is_refused_by_field(
    system: System, fields: dict[str, str], files: dict[str, str], pointer: str
) -> None:
    # httpx sends a multipart form only for files.
    parts: list[tuple[str, tuple[str | None, str]]] = [
        *((name, (None, value)) for name, value in fields.items()),
        *((name, ("script.js", source)) for name, source in files.items()),
    ]

    answer = system.client.post("/scripts", files=parts)

    assert _problem(answer) == (422, "invalid-request")
    assert answer.json()["errors"][0]["pointer"] == pointer


def test_a_check_stores_nothing(system: System) -> None:
    before = system.client.get("/scripts?limit=1").json()

    answer = system.client.post("/scripts/check", json={"source": IDENTITY})

    assert (answer.status_code, answer.json()) == (200, {"accepted": True, "warnings": []})
    assert system.client.get("/scripts?limit=1").json() == before


def test_changing_a_description_changes_nothing_else(system: System) -> None:
    created = _create(system, "described", description="old").json()

    changed = system.client.patch("/scripts/described", json={"description": "new"}).json()

    assert changed["description"] == "new"
    assert changed["updated_at"] > created["updated_at"]
    unchanged = {"description", "updated_at", "warnings"}
    assert {key: value for key, value in changed.items() if key not in unchanged} == {
        key: value for key, value in created.items() if key not in unchanged
    }
    assert json.dumps(changed["latest_version"]) == json.dumps(created["latest_version"])
