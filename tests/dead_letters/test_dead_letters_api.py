"""Dead letters over HTTP: listed, shown, downloaded, counted and erased."""

import base64
import json
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

import pytest

from app.settings import Settings
from tests.dead_letters.letters import letter
from tests.dead_letters.over_http import insert_letters
from tests.support.system import System

JSON = b'{ "b": 1, "b": 12345678901234567890.10, "a": "\\ud800" }'
PRETTY = b'{\n  "a": 1\n}'
BROKEN = b'{"a": \xff'
# A parser would drop the blank.
BLANK = b'{"a": 1} '
NO_UTF8 = b'{"a": "\xff"}'
EVENTS = [JSON, PRETTY, BROKEN, BLANK, NO_UTF8]


@pytest.fixture(scope="module")
def kept(system: System) -> tuple[str, list[str]]:
    return insert_letters(system, [letter(number, event) for number, event in enumerate(EVENTS)])


def _get(system: System, path: str, status: int = 200, **query: str | int) -> Any:  # noqa: ANN401
    answer = system.client.get(path, params=query)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_a_letter_is_shown_with_its_event_as_it_is_or_in_base64(
    system: System, kept: tuple[str, list[str]]
) -> None:
    pipe, ids = kept
    answers = [system.client.get(f"/dead-letters/{each}") for each in ids]

    assert b'"event":' + JSON in answers[0].content
    # Valid JSON stays as it is here, where it is not a line.
    assert b'"event":' + PRETTY in answers[1].content
    assert base64.b64decode(answers[2].json()["event_base64"]) == BROKEN
    assert base64.b64decode(answers[3].json()["event_base64"]) == BLANK
    assert base64.b64decode(answers[4].json()["event_base64"]) == NO_UTF8
    shown = answers[2].json()
    assert (shown["pipe"], shown["state"], shown["kind"]) == (pipe, "dead", "timeout")
    assert shown["error"] == {"kind": "timeout", "message": "it failed"}
    assert (shown["event_id"], shown["event_bytes"], shown["attempts"]) == ("event-2", 7, 1)
    assert shown["first_failed_at"] == shown["last_failed_at"]
    for each, event in zip(ids, EVENTS, strict=True):
        answer = system.client.get(f"/dead-letters/{each}/event")
        assert (answer.content, answer.headers["Content-Type"]) == (
            event,
            "application/octet-stream",
        )
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    part = system.client.get(f"/dead-letters/{ids[0]}/event", headers={"Range": "bytes=2-4"})
    assert (part.status_code, part.content) == (206, JSON[2:5])


def test_a_page_leads_to_the_next_and_a_cursor_is_for_its_filter(system: System) -> None:
    pipe, ids = insert_letters(system, [letter(number, pointer="/a") for number in range(5)])
    found: list[str] = []
    cursor: dict[str, Any] = {}
    while True:
        page = _get(system, "/dead-letters", pipe=pipe, pointer="/a", limit=2, **cursor)
        found += [each["id"] for each in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}

    assert found == ids[::-1]
    _get(system, "/dead-letters", 422, pipe=pipe, pointer="/b", limit=2, **cursor)
    assert _get(system, "/dead-letters", pipe=pipe, pointer="/b")["items"] == []
    assert "event" not in page["items"][0]


def test_unknown_names_are_told(system: System) -> None:
    refusals: list[tuple[dict[str, Any], int, str]] = [
        ({"pipe": "nowhere"}, 422, "invalid-request"),
        ({"schema": "nowhere@3"}, 404, "schema-not-found"),
        ({"script": "nowhere"}, 404, "script-not-found"),
        ({"state": "alive"}, 422, "invalid-request"),
        ({"from": "yesterday"}, 422, "invalid-request"),
    ]
    for query, status, code in refusals:
        for path in ("/dead-letters", "/dead-letters/download"):
            problem = _get(system, path, status, **query)
            assert problem["type"] == f"urn:crivo:problem:{code}"
        head = system.client.head("/dead-letters/download", params=query)
        assert head.status_code == status
    # The letters of a pipe that is gone are found by its id.
    assert _get(system, "/dead-letters", pipe=str(uuid4()))["items"] == []
    assert _get(system, f"/dead-letters/{uuid4()}", 404)["title"] == "There is no such dead letter"
    assert _get(system, "/dead-letters/nothing/event", 404)


def test_a_download_has_each_event_as_a_line_or_none(
    system: System, kept: tuple[str, list[str]]
) -> None:
    # More than a page holds.
    large = [b'"%s%d"' % (b"x" * 300_000, number) for number in range(5)]
    pipe, ids = insert_letters(
        system, [letter(number, event) for number, event in enumerate(large)]
    )

    answer = system.client.get("/dead-letters/download", params={"pipe": pipe})
    assert answer.headers["Content-Type"].startswith("application/x-ndjson")
    assert answer.content == b"".join(event + b"\n" for event in large)
    rest = system.client.get("/dead-letters/download", params={"pipe": pipe, "after": ids[3]})
    assert rest.content == large[4] + b"\n"

    refused = _get(system, "/dead-letters/download", 409, pipe=kept[0])
    assert refused["type"] == "urn:crivo:problem:event-with-line-feed"
    assert refused["letter"] == kept[1][1]


def test_slow_downloads_hold_no_connection_of_the_database(system: System) -> None:
    # More than the pool has, each with more than sockets buffer.
    large = [b'"%s%d"' % (b"x" * 900_000, number) for number in range(12)]
    pipe, _ = insert_letters(system, [letter(number, event) for number, event in enumerate(large)])
    size = sum(len(event) + 1 for event in large)

    with ExitStack() as stack:
        downloads = [
            stack.enter_context(
                system.client.stream("GET", "/dead-letters/download", params={"pipe": pipe})
            )
            for _ in range(Settings().db_pool_size + 2)
        ]
        assert {each.status_code for each in downloads} == {200}
        assert len(_get(system, "/dead-letters", pipe=pipe)["items"]) == 12
        assert [len(each.read()) for each in downloads[:2]] == [size, size]


def test_a_full_download_has_every_event(system: System, kept: tuple[str, list[str]]) -> None:
    pipe, ids = kept
    answer = system.client.get("/dead-letters/download", params={"pipe": pipe, "form": "full"})

    lines = answer.content.splitlines()
    assert [json.loads(line)["id"] for line in lines] == ids
    assert b'"event":' + JSON + b"}" in lines[0]
    in_base64 = [json.loads(line)["event_base64"] for line in lines[1:]]
    assert [base64.b64decode(each) for each in in_base64] == [PRETTY, BROKEN, BLANK, NO_UTF8]


def test_erasing_takes_the_bytes_and_what_the_error_said_and_keeps_the_letter(
    system: System,
) -> None:
    pipe, [first, second] = insert_letters(
        system, [letter(1, pointer="/name of a person"), letter(2)]
    )

    for _ in range(2):
        assert system.client.delete(f"/dead-letters/{first}").status_code == 204
    shown = _get(system, f"/dead-letters/{first}")
    assert (shown["state"], shown["event_bytes"]) == ("erased", 13)
    assert shown["error"] == {"kind": "timeout", "message": "the event is erased"}
    assert shown["erased_at"]
    assert "event" not in shown
    assert _get(system, f"/dead-letters/{first}/event", 410)["erased_at"]
    assert _get(system, "/dead-letters", pipe=pipe, pointer="/name of a person")["items"] == []
    left = system.client.get("/dead-letters/download", params={"pipe": pipe}).content
    assert left == b'{"number": 2}\n'
    for state, found in (({}, ["dead"]), ({"state": "all"}, ["erased", "dead"])):
        full = {"pipe": pipe, "form": "full", **state}
        lines = system.client.get("/dead-letters/download", params=full).text.splitlines()
        assert [json.loads(line)["state"] for line in lines] == found

    counts = _get(system, "/dead-letters/counts", pipe=pipe)["items"]
    assert counts == [
        {"pipe": pipe, "kind": "timeout", "dead": 1, "moved": 0, "dropped": 0, "erased": 1}
    ]
    [entry] = _get(system, "/audit", target=f"/dead-letters/{first}")["items"]
    assert entry["action"] == "letter.erased"
    assert second in {each["id"] for each in _get(system, "/dead-letters", pipe=pipe)["items"]}


def test_letters_are_erased_by_a_filter_which_is_not_empty(system: System) -> None:
    pipe, ids = insert_letters(
        system, [letter(n, kind="timeout" if n else "other") for n in range(3)]
    )

    refused = system.client.delete("/dead-letters")
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "")
    for erased in (2, 0):
        answer = system.client.delete("/dead-letters", params={"pipe": pipe, "kind": "timeout"})
        assert answer.json() == {"erased": erased, "complete": True}
    states = [each["state"] for each in _get(system, "/dead-letters", pipe=pipe)["items"]]
    assert states == ["erased", "erased", "dead"]
    entries = _get(system, "/audit", action="letters.erased")["items"]
    assert entries[0]["details"] == {"filter": {"pipe": pipe, "kind": "timeout"}, "erased": 2}
    assert ids
