"""PUT creates a script, adds a version, or changes nothing."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final
from uuid import uuid4

import httpx
import pytest

from tests.support.schemas import put_schema
from tests.support.system import System

RAW: Final = {"Content-Type": "text/javascript"}


def _source(number: int) -> str:
    return f"const process = data => data + {number}"


def _forms(number: int) -> dict[str, dict[str, Any]]:
    return {
        "json": {"json": {"source": _source(number)}},
        "raw": {"content": _source(number), "headers": RAW},
        "form": {"files": {"file": ("script.js", _source(number))}},
    }


@pytest.fixture
def address() -> str:
    return f"/scripts/put-{uuid4()}"


def _numbers(answer: httpx.Response) -> tuple[int, int]:
    return answer.status_code, answer.json()["latest_version"]["version"]


@pytest.mark.parametrize("form", ["json", "raw", "form"])
def test_put_creates_a_script_then_adds_versions_then_changes_nothing(
    system: System, address: str, form: str
) -> None:
    created = system.client.put(address, **_forms(1)[form])
    same = system.client.put(address, **_forms(1)[form])
    added = system.client.put(address, **_forms(2)[form])
    back = system.client.put(address, **_forms(1)[form])

    assert [_numbers(each) for each in (created, same, added, back)] == [
        (201, 1),
        (200, 1),
        (201, 2),
        (201, 3),
    ]
    assert len({each.json()["id"] for each in (created, same, added, back)}) == 1
    assert created.json()["name"] == address.rpartition("/")[2]
    for answer in (created, same, added, back):
        assert system.client.get(answer.headers["Location"]).status_code == 200
    source = system.client.get(f"{address}/versions/latest/source").text
    assert source == _source(1)
    assert created.json()["warnings"] == []


def test_put_stores_limits_and_notes(system: System, address: str) -> None:
    answer = system.client.put(f"{address}?wall_ms=50&note=first", content=_source(1), headers=RAW)
    other = system.client.put(f"{address}?wall_ms=60", content=_source(1), headers=RAW)

    assert answer.json()["latest_version"]["limits"] == {"wall_ms": 50}
    assert answer.json()["latest_version"]["note"] == "first"
    assert _numbers(other) == (201, 2)


def test_put_by_id_changes_a_script_but_creates_none(system: System, address: str) -> None:
    created = system.client.put(address, json={"source": _source(1)}).json()

    by_id = system.client.put(f"/scripts/{created['id']}", json={"source": _source(2)})
    unknown = system.client.put(f"/scripts/{uuid4()}", json={"source": _source(2)})

    assert _numbers(by_id) == (201, 2)
    assert unknown.status_code == 404


def test_an_invalid_source_creates_nothing(system: System, address: str) -> None:
    refused = system.client.put(address, json={"source": "const x = 1"})

    assert refused.status_code == 422
    assert refused.json()["type"] == "urn:crivo:problem:invalid-script"
    assert system.client.get(address).status_code == 404


def test_an_archived_script_is_a_conflict(system: System, address: str) -> None:
    system.client.put(address, json={"source": _source(1)})
    system.client.delete(address)

    answer = system.client.put(address, json={"source": _source(2)})

    assert answer.status_code == 409
    assert '{"archived": false}' in answer.json()["detail"]
    assert system.client.get(f"{address}/versions").json()["items"][0]["version"] == 1


@pytest.mark.parametrize("side", ["input_schema", "output_schema"])
def test_a_version_keeps_a_schema_that_is_archived(system: System, address: str, side: str) -> None:
    schema = put_schema(system, f"archived-{uuid4().hex[:8]}", type="object")
    body = {"source": _source(1), side: schema}
    first = system.client.put(address, json=body)
    assert system.client.delete(f"/schemas/{schema.partition('@')[0]}").is_success

    again = system.client.put(address, json=body)
    added = system.client.post(f"{address}/versions", json=body)
    other = system.client.put(address, json={**body, "source": _source(2)})

    assert (_numbers(first), _numbers(again), added.status_code) == ((201, 1), (200, 1), 200)
    assert (other.status_code, other.json()["errors"][0]["pointer"]) == (409, f"/{side}")


@pytest.mark.parametrize("name", ["Upper", "a@1", "%20"])
def test_an_invalid_name_is_refused(system: System, name: str) -> None:
    answer = system.client.put(f"/scripts/{name}", json={"source": _source(1)})

    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert error["pointer"] == "/script"
    assert "lower-case letters, digits" in error["message"]


def test_preconditions_select_creation_or_change(system: System, address: str) -> None:
    def put(number: int, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return system.client.put(address, json={"source": _source(number)}, headers=named)

    missing = put(1, If_Match="*")
    made = put(1, If_None_Match="*")
    again = put(1, If_None_Match="*")
    changed = put(2, If_Match="*")

    assert [each.status_code for each in (missing, made, again, changed)] == [412, 201, 412, 201]
    assert missing.json()["type"] == again.json()["type"] == "urn:crivo:problem:precondition-failed"
    assert changed.json()["latest_version"]["version"] == 2


@pytest.mark.parametrize("name", ["If-Match", "If-None-Match"])
def test_a_script_has_no_etag_to_compare(system: System, address: str, name: str) -> None:
    answer = system.client.put(address, json={"source": _source(1)}, headers={name: '"1"'})

    assert answer.status_code == 412
    assert f"{name} takes only *" in answer.json()["detail"]
    assert system.client.get(address).status_code == 404


def test_of_concurrent_creations_one_succeeds(system: System, address: str) -> None:
    def make(number: int) -> int:
        source, only_new = {"source": _source(number)}, {"If-None-Match": "*"}
        return system.client.put(address, json=source, headers=only_new).status_code

    with ThreadPoolExecutor(8) as clients:
        statuses = list(clients.map(make, range(8)))

    assert sorted(statuses) == [201, *[412] * 7]


def test_concurrent_puts_of_one_source_add_one_version(system: System, address: str) -> None:
    with ThreadPoolExecutor(8) as clients:
        answers = list(
            clients.map(lambda _: system.client.put(address, json={"source": _source(1)}), range(8))
        )

    assert sorted(each.status_code for each in answers) == [*[200] * 7, 201]
    assert [each.json()["latest_version"]["version"] for each in answers] == [1] * 8
