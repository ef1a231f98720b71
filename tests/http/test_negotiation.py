"""Every route produces its documented media types, and answers 406 if none is accepted."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import httpx
import pytest

from app.http import negotiation
from app.http.negotiation import accepts, weight_of
from tests.support.openapi_document import with_responses
from tests.support.system import System

# Values of path parameters: nothing exists, so no call has an effect.
FILLED = {
    "script": "nobody",
    "schema": "nobody",
    "number": "1",
    "alias": "x",
    "execution": "1",
    "name": "no",
    "key": "1",
    "dataset": "nobody",
    "pipe": "nobody",
    "upload": "1",
    "path": "a/parts/1",
    "callback": "1",
    "disabled": "1",
    "batch": "1",
    "comparison": "1",
    "run": "1",
    "export": "1",
    "letter": "1",
    "redrive": "1",
}


# Produced by no operation; the index redirects to a page.
_NOT_OFFERED = ("application/problem+json", "text/html")


def _operations(system: System) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Walk the document of the running API: name, method, address, operation.

    A HEAD comes with the operation of its GET.
    """
    for path, methods in with_responses(system.client.get("/openapi.json").json())["paths"].items():
        for method, operation in methods.items():
            described = methods["get"] if method == "head" else operation
            yield operation["operationId"], method.upper(), path.format(**FILLED), described


def _given_by(operation: dict[str, Any]) -> set[str]:
    """Return the media types of an operation's responses, without problems.

    Lines of JSON are also given to clients that ask for JSON.
    """
    given = {
        media_type
        for response in operation["responses"].values()
        for media_type in response.get("content", {})
        if media_type != "application/problem+json"
    }
    return given | {"application/json"} if "application/x-ndjson" in given else given


def _asking_for(media_type: str) -> list[str]:
    """Return Accept headers that clients send for a media type."""
    kind = media_type.partition("/")[0]
    return [
        media_type,
        media_type.upper(),
        f"{media_type}; charset=utf-8",
        f'{media_type};charset="UTF-8";q=0.9',
        f"{media_type};q=0.001",
        f"{kind}/*",
        f"{kind}/*; q=0.5, image/png",
        f"image/png, {media_type}, text/css;q=0.1",
        f'application/vnd.api+json;profile="a, b; c", {media_type}',
        f"*/*;q=0, {media_type}",
        "*/*",
        "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2",
        "",
    ]


def _not_asking_for(media_types: set[str]) -> list[str]:
    """Return Accept headers that admit neither these media types nor problem documents."""
    without = ", ".join(f"{each};q=0.000" for each in (*media_types, *_NOT_OFFERED))
    return ["image/png", f"{without}, */*;q=1", "image/*, font/woff;q=0.3", "*/*;q=0"]


def test_every_operation_produces_its_own_media_types(system: System) -> None:
    seen = set()
    turns = count()
    for name, method, address, operation in _operations(system):
        plain = system.client.request(method, address, headers={"Accept": "*/*"})
        seen |= _given_by(operation)
        for media_type in _given_by(operation):
            asking = _asking_for(media_type)
            # How a header is read does not depend on the operation: they take turns with them.
            for accept in (asking[0], asking[1 + next(turns) % (len(asking) - 1)]):
                if address == "/" and "text/html" in accept:
                    # A client that prefers a page is redirected: tests/docs/test_index.py.
                    continue
                answer = system.client.request(method, address, headers={"Accept": accept})
                assert answer.status_code == plain.status_code, (name, accept, answer.text)
                assert answer.headers.get("Content-Type") == plain.headers.get("Content-Type")
    assert seen >= {"application/json", "text/event-stream", "text/javascript", "text/plain"}


def test_every_operation_answers_406_if_no_media_type_is_accepted(system: System) -> None:
    for name, method, address, operation in _operations(system):
        gives = _given_by(operation)
        if "*/*" in gives:
            # A user has chosen the media type: it is sent whatever is asked for.
            continue
        for accept in _not_asking_for(gives):
            answer = system.client.request(method, address, headers={"Accept": accept})
            if gives:
                assert answer.status_code == 406, (name, accept, answer.text)
                _says_not_acceptable(method, answer)
            else:
                # Responses without bodies have no media type.
                assert answer.status_code == 404, (name, accept, answer.text)


def _says_not_acceptable(method: str, answer: httpx.Response) -> None:
    assert answer.headers["Content-Type"] == "application/problem+json"
    if method != "HEAD":
        assert answer.json()["type"] == "urn:crivo:problem:not-acceptable"


@pytest.mark.parametrize(
    "path", ["/docs", "/favicon.ico", "/openapi.json", "/docs/assets/reference.css"]
)
def test_assets_of_the_page_have_one_media_type(system: System, path: str) -> None:
    assert system.client.get(path, headers={"Accept": "image/avif"}).status_code == 200


@pytest.mark.parametrize(
    ("accept", "media_type", "expected"),
    [
        ("text/javascript", "text/javascript", True),
        ("text/*", "text/javascript", True),
        ("application/json", "text/javascript", False),
        ("application/json;q=0, */*", "application/json", False),
        ("application/json; q=0.000", "application/json", False),
        ("application/json; q=.0", "application/json", False),
        ("application/json; q=0.001", "application/json", True),
        ("application/json; Q=0", "application/json", False),
        ("application/json ; q = 0", "application/json", False),
        ("*/*;q=0, text/plain", "application/json", False),
        ("application/*;q=0, application/json", "application/json", True),
        ("application/*, application/json;q=0", "application/json", False),
        # Parameters make a range more specific; refusing a variant does not refuse the type.
        ("application/json;charset=utf-8;q=0, application/json", "application/json", False),
        ("application/json;v=2;q=0, application/json", "application/json", True),
        ("application/json, application/json;v=2;q=0", "application/json", True),
        ("application/json;v=2", "application/json", True),
        ("application/json;v=2;q=0", "application/json", False),
        ("text/plain;version=0.0.4;q=0.5", "text/plain", True),
        ('application/json;a="x;q=0";q=1', "application/json", True),
        ('application/json;a="\\",text/plain;q=0"', "application/json", True),
        ('text/plain;a="b, application/json', "application/json", False),
        ("application/json;q=0;ext=1", "application/json", False),
        ("application/json;q=high", "application/json", True),
        # A header without ranges admits everything.
        ("", "application/json", True),
        (",", "application/json", True),
        (";;,,q=x", "application/json", True),
        ("json", "application/json", True),
        (";;,,q=x, text/html", "application/json", False),
        ("*;q=.2", "application/json", True),
    ],
)
def test_the_most_specific_range_decides(accept: str, media_type: str, *, expected: bool) -> None:
    assert accepts(accept, media_type) is expected


@pytest.mark.parametrize(
    ("accept", "html", "json"),
    [
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", 1.0, 0.8),
        ("application/json, text/html;q=0.9", 0.9, 1.0),
        ("text/*;q=0.5, */*;q=0.1", 0.5, 0.1),
        ("", 1.0, 1.0),
        ("text/html;q=7", 1.0, 0.0),
    ],
)
def test_weights_order_media_types(accept: str, html: float, json: float) -> None:
    assert (weight_of(accept, "text/html"), weight_of(accept, "application/json")) == (html, json)


@pytest.mark.parametrize("piece", ['"', '"\\', "\\", ",", ";", "a/b;", 'a/b;c="', "q=0,", '","'])
def test_a_long_header_is_read_in_one_pass(piece: str) -> None:
    # In quadratic time this would exceed the test's timeout.
    accept = piece * (1_000_000 // len(piece)) + ", text/html"

    assert weight_of(accept, "text/html") in (0.0, 1.0)


def test_long_headers_are_weighed_and_not_kept() -> None:
    accept = ", ".join(f"text/x-{number}" for number in range(100)) + ", application/json;q=0.5"
    kept = negotiation._weigh_cached.cache_info().currsize

    assert weight_of(accept, "application/json") == 0.5
    assert negotiation._weigh_cached.cache_info().currsize == kept
