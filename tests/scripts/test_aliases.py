"""Aliases are read, moved and removed over HTTP, with preconditions."""

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import httpx
import pytest

from tests.support.system import System


@pytest.fixture
def alias(system: System) -> str:
    """The URL of an alias of the test's own script, at version 1 of two."""
    name = f"aliased-{uuid4()}"
    system.upload(name, "const process = _ => 1")
    system.client.post(f"/scripts/{name}/versions", json={"source": "const process = _ => 2"})
    address = f"/scripts/{name}/aliases/prod"
    assert system.client.put(address, json={"version": 1}).status_code == 200
    return address


def _move(system: System, alias: str, version: int, headers: dict[str, str]) -> httpx.Response:
    return system.client.put(alias, json={"version": version}, headers=headers)


def _code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].removeprefix("urn:crivo:problem:")


def test_an_alias_is_read_and_revalidated_by_its_etag(system: System, alias: str) -> None:
    found = system.client.get(alias)
    again = system.client.get(alias, headers={"If-None-Match": found.headers["ETag"]})
    other = system.client.get(alias, headers={"If-None-Match": '"another"'})

    assert (found.status_code, found.json()["version"]) == (200, 1)
    assert (again.status_code, again.content) == (304, b"")
    assert other.json() == found.json()


def test_an_alias_is_moved_only_with_its_current_etag(system: System, alias: str) -> None:
    known = system.client.get(alias).headers["ETag"]

    moved = _move(system, alias, 2, {"If-Match": known})
    late = _move(system, alias, 1, {"If-Match": known})

    assert (moved.status_code, moved.json()["version"]) == (200, 2)
    assert moved.headers["ETag"] != known
    assert _code(late) == (412, "precondition-failed")
    assert system.client.get(alias).json()["version"] == 2
    assert system.client.get(alias).headers["ETag"] == moved.headers["ETag"]


def test_a_move_back_changes_the_etag(system: System, alias: str) -> None:
    known = system.client.get(alias).headers["ETag"]
    _move(system, alias, 2, {})
    _move(system, alias, 1, {})

    assert _code(_move(system, alias, 2, {"If-Match": known})) == (412, "precondition-failed")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("*", 200),
        ('"x", {etag}', 200),
        ("{etag}", 200),
        # A weak tag never matches (RFC 9110, 13.1.1).
        ("W/{etag}", 412),
        ('"x"', 412),
        ("nonsense", 412),
        ("", 412),
    ],
)
def test_if_match_follows_rfc_9110(system: System, alias: str, header: str, expected: int) -> None:
    known = system.client.get(alias).headers["ETag"]

    answer = _move(system, alias, 2, {"If-Match": header.format(etag=known)})

    assert answer.status_code == expected


def test_if_none_match_only_creates_an_alias(system: System, alias: str) -> None:
    new = alias.replace("/prod", "/staging")

    there = _move(system, alias, 2, {"If-None-Match": "*"})
    made = _move(system, new, 2, {"If-None-Match": "*"})
    not_there = _move(system, alias.replace("/prod", "/beta"), 1, {"If-Match": "*"})

    assert _code(there) == _code(not_there) == (412, "precondition-failed")
    assert made.status_code == 200
    assert system.client.get(alias).json()["version"] == 1


def test_an_alias_is_removed_only_with_its_current_etag(system: System, alias: str) -> None:
    known = system.client.get(alias).headers["ETag"]
    _move(system, alias, 2, {})

    late = system.client.delete(alias, headers={"If-Match": known})
    now = system.client.get(alias).headers["ETag"]
    removed = system.client.delete(alias, headers={"If-Match": now})
    again = system.client.delete(alias, headers={"If-Match": now})

    assert _code(late) == (412, "precondition-failed")
    assert removed.status_code == 204
    assert _code(again) == (404, "version-not-found")
    assert _code(system.client.get(alias)) == (404, "version-not-found")


def test_of_concurrent_moves_one_succeeds(system: System, alias: str) -> None:
    known = system.client.get(alias).headers["ETag"]

    with ThreadPoolExecutor(8) as clients:
        answers = list(
            clients.map(lambda _: _move(system, alias, 2, {"If-Match": known}), range(8))
        )

    assert sorted(each.status_code for each in answers) == [200, *[412] * 7]


def test_a_reference_shows_its_version(system: System, alias: str) -> None:
    script = alias.removesuffix("/aliases/prod")

    by_alias = system.client.get(f"{script}@prod").json()
    by_number = system.client.get(f"{script}@1").json()
    newest = system.client.get(f"{script}@latest").json()
    version = system.client.get(f"{script}/versions/prod").json()
    source = system.client.get(f"{script}/versions/prod/source").text
    latest = system.client.get(f"{script}/versions/latest/source").text

    assert by_alias == by_number
    assert by_alias["version"] == version == system.client.get(f"{script}/versions/1").json()
    assert by_alias["latest_version"]["version"] == newest["version"]["version"] == 2
    assert {**by_alias, "version": None} == {**system.client.get(script).json(), "version": None}
    assert "version" not in system.client.get(script).json()
    assert (source, latest) == ("const process = _ => 1", "const process = _ => 2")
    by_id = f"/scripts/{by_alias['id']}@prod"
    assert system.client.get(by_id).json() == by_alias


@pytest.mark.parametrize("selector", ["9", "nobody", "0", "Prod", "", "prod@1"])
def test_an_unknown_reference_is_a_404(system: System, alias: str, selector: str) -> None:
    script = alias.removesuffix("/aliases/prod")

    assert _code(system.client.get(f"{script}@{selector}")) == (404, "version-not-found")


def test_an_archived_script_can_still_be_referred_to(system: System, alias: str) -> None:
    script = alias.removesuffix("/aliases/prod")
    system.client.delete(script)

    assert system.client.get(f"{script}@prod").json()["version"]["version"] == 1
    assert system.client.get(f"{script}/versions/prod/source").status_code == 200
    assert system.client.delete(alias).status_code == 204
