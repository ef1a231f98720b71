"""A cursor is a position in one list with its filters, and valid for no other."""

from uuid import UUID

import pytest
from hypothesis import given, strategies as st

from app.errors import InvalidRequest
from app.pagination import FIRST, Paginator
from tests.support.system import System
from tests.support.system_with_keys import SystemWithKeys

THINGS = Paginator("things", None, {"archived": False})


@given(st.uuids())
def test_a_cursor_decodes_to_its_position(place: UUID) -> None:
    assert THINGS.below(THINGS.cursor(place.bytes)) == place


def test_without_a_cursor_the_first_page_comes() -> None:
    assert THINGS.below(None) == FIRST


def test_a_name_in_a_cursor_is_a_text_of_the_database() -> None:
    assert THINGS.after(THINGS.cursor("é".encode())) == "é"
    for position in (b"a\0b", b"\xff"):
        with pytest.raises(InvalidRequest):
            THINGS.after(THINGS.cursor(position))


@given(st.text(max_size=40))
def test_an_invalid_cursor_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        THINGS.below(text)


@pytest.mark.parametrize("cursor", ["", "x", "\u00e9", "A" * 21, "A" * 23, "A" * 1000])
def test_a_malformed_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidRequest):
        THINGS.below(cursor)


@pytest.mark.parametrize(
    "other",
    [
        Paginator("others", None, {"archived": False}),
        Paginator("things", None, {"archived": True}),
        Paginator("things", "cards", {"archived": False}),
        Paginator("things"),
    ],
)
def test_a_cursor_of_one_list_is_refused_by_another(other: Paginator) -> None:
    with pytest.raises(InvalidRequest, match="another list"):
        other.below(THINGS.cursor(FIRST.bytes))


def _filled(system: System) -> None:
    for number in range(3):
        name = f"cursors-{number}"
        if system.client.get(f"/scripts/{name}").status_code == 404:
            system.upload(name, "const process = data => data")
    for number in range(2):
        for name in ("cursors-0", "cursors-1"):
            source = f"const process = data => {number}"
            system.client.post(f"/scripts/{name}/versions", json={"source": source})
            system.client.put(f"/scripts/{name}/aliases/a{number}", json={"version": 1})
    for _ in range(3):
        system.run("cursors-0", b"1")


def test_every_list_accepts_its_own_cursors_only(system: System) -> None:
    _filled(system)
    lists = [
        "/scripts?limit=1",
        "/scripts?limit=1&archived=true",
        "/scripts/cursors-0/versions?limit=1",
        "/scripts/cursors-1/versions?limit=1",
        "/scripts/cursors-0/aliases?limit=1",
        "/scripts/cursors-1/aliases?limit=1",
        "/executions?limit=1",
        "/executions?limit=1&status=succeeded",
        "/executions?limit=1&script=cursors-0",
        "/audit?limit=1",
        "/audit?limit=1&action=script.created",
    ]
    cursors = {each: system.client.get(each).json()["next_cursor"] for each in lists}
    assert all(cursors.values()), cursors

    for mine in lists:
        for whose, cursor in cursors.items():
            answer = system.client.get(mine, params={"cursor": cursor, **_query(mine)})
            if mine == whose:
                assert answer.status_code == 200, answer.text
            else:
                assert answer.status_code == 422, (mine, whose)
                [error] = answer.json()["errors"]
                assert error["parameter"] == "cursor"
                assert "another list" in error["message"]


def test_all_lists_have_the_same_form(keyed: SystemWithKeys) -> None:
    keyed.post("/scripts", json={"name": "one-form", "source": "const process = data => data"})
    lists = [
        "/scripts",
        "/scripts/one-form/versions",
        "/scripts/one-form/aliases",
        "/executions",
        "/audit",
        "/keys",
        "/tenants",
    ]

    for each in lists:
        assert set(keyed.get(each).json()) == {"items", "next_cursor"}, each
        assert keyed.get(f"{each}?limit=1").status_code == 200


def test_aliases_are_paged_by_name_without_gaps(system: System) -> None:
    system.upload("many-aliases", "const process = data => data")
    names = sorted(("b", "a", "a-b", "a.b", "a_b", "aa", "z"), key=str.encode)
    for name in names:
        system.client.put(f"/scripts/many-aliases/aliases/{name}", json={"version": 1})

    seen: list[str] = []
    cursor: str | None = None
    while True:
        params = {"limit": "2", **({"cursor": cursor} if cursor else {})}
        page = system.client.get("/scripts/many-aliases/aliases", params=params).json()
        seen += [each["alias"] for each in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break

    assert seen == names


def _query(address: str) -> dict[str, str]:
    _, _, query = address.partition("?")
    return dict(each.split("=", 1) for each in query.split("&"))
