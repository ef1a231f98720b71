"""The reference and its assets are served over HTTP, with caching and a strict policy."""

import re
from urllib.parse import quote

import pytest

from tests.support.system import System

ASSETS = {
    "/docs": "text/html; charset=utf-8",
    "/docs/assets/reference.js": "text/javascript; charset=utf-8",
    "/docs/assets/reference.css": "text/css; charset=utf-8",
    "/docs/assets/swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "/docs/assets/swagger-ui.css": "text/css; charset=utf-8",
    "/docs/assets/favicon.svg": "image/svg+xml",
    "/favicon.ico": "image/svg+xml",
    "/openapi.json": "application/json",
}


@pytest.mark.parametrize(("path", "media_type"), ASSETS.items())
def test_assets_are_served(system: System, path: str, media_type: str) -> None:
    answer = system.client.get(path)

    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == media_type
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.content


@pytest.mark.parametrize("path", ASSETS)
def test_assets_are_revalidated_by_their_etag(system: System, path: str) -> None:
    first = system.client.get(path)
    known = first.headers["ETag"]

    for tag in (known, f"W/{known}", f'"other", {known}', "*"):
        again = system.client.get(path, headers={"If-None-Match": tag})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["ETag"] == known
    assert first.headers["Cache-Control"] == "no-cache"
    assert system.client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.parametrize("path", ASSETS)
def test_head_has_the_headers_of_get(system: System, path: str) -> None:
    get, head = system.client.get(path), system.client.head(path)

    assert (head.status_code, head.content) == (200, b"")
    for name in ("Content-Type", "Content-Length", "ETag"):
        assert head.headers[name] == get.headers[name]


def test_the_page_links_only_to_served_assets(system: System) -> None:
    page = system.client.get("/docs").text

    named = set(re.findall(r'(?:href|src)="([^"]*)"', page))

    assert named
    assert named <= set(ASSETS)
    assert "://" not in page


def test_the_policy_allows_no_other_origin(system: System) -> None:
    policy = system.client.get("/docs").headers["Content-Security-Policy"]

    allowed = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert allowed.pop("img-src") == "'self' data:"
    assert set(allowed.values()) == {"'self'", "'none'"}
    assert (allowed["default-src"], allowed["script-src"]) == ("'none'", "'self'")
    assert allowed["frame-ancestors"] == "'none'"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_the_page_is_served_for_every_loopback_host(system: System, host: str) -> None:
    headers = {"Host": f"{host}:{system.port}", "Origin": f"http://{host}:{system.port}"}

    assert {system.client.get(path, headers=headers).status_code for path in ASSETS} == {200}


@pytest.mark.parametrize(
    "path",
    [
        "/docs/nothing",
        "/docs/openapi.json",
        "/docs/oauth2-redirect.html",
        "/docs/assets",
        "/docs/assets/nothing.js",
        "/docs/assets/LICENSE",
        f"/docs/assets/{quote('../api.py', safe='')}",
        "/docs/assets/index/html",
    ],
)
def test_an_unknown_asset_is_a_problem_document(system: System, path: str) -> None:
    answer = system.client.get(path)

    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["status"] == 404


def test_the_steps_of_the_description_link_to_operations(system: System) -> None:
    document = system.client.get("/openapi.json").json()

    steps = re.findall(r"\(#(/[^)]+)\)", document["info"]["description"])
    operations = {
        f"/{operation['tags'][0]}/{operation['operationId']}"
        for methods in document["paths"].values()
        for operation in methods.values()
    }

    assert len(steps) == 8
    assert set(steps) <= operations
