"""Request ids, security headers and CORS apply to every response."""

import json
from collections.abc import Iterator
from typing import Final
from uuid import UUID

import pytest

from tests.support.raw_connections import answer_on, connected
from tests.support.system import System

ORIGIN: Final = "https://app.example"
TRACE: Final = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT: Final = f"00-{TRACE}-00f067aa0ba902b7-01"
MISSING: Final = "/scripts/nobody"


@pytest.fixture(scope="module")
def paths(system: System) -> list[str]:
    system.upload("envelope", "function process(data) { return data }")
    done = system.run("envelope", b"[1]")
    return [
        "/health/live",
        "/docs",
        "/docs/assets/reference.js",
        "/openapi.json",
        "/scripts",
        "/scripts/envelope/versions/1/source",
        f"/executions/{done['id']}/result",
        f"/executions/{done['id']}/input",
        MISSING,
        "/nowhere",
    ]


@pytest.mark.parametrize("named", ["abc", "01HV:a/b+c=d@e_f.g-h", "x" * 128])
def test_a_valid_request_id_is_kept(system: System, named: str) -> None:
    answer = system.client.get(MISSING, headers={"X-Request-Id": named})

    assert answer.headers["X-Request-Id"] == answer.json()["request_id"] == named


@pytest.mark.parametrize("named", ["", "x" * 129, "a b", "<script>", "a,b", "ü", "a\tb"])
def test_an_invalid_request_id_is_replaced(system: System, named: str) -> None:
    answer = system.client.get(MISSING, headers={b"X-Request-Id": named.encode()})

    assert answer.json()["request_id"] == answer.headers["X-Request-Id"]
    assert UUID(answer.headers["X-Request-Id"]).version == 7


def test_a_repeated_request_id_is_replaced(system: System) -> None:
    twice = [("X-Request-Id", "a"), ("X-Request-Id", "b")]

    assert UUID(system.client.get(MISSING, headers=twice).headers["X-Request-Id"]).version == 7


def test_errors_of_the_router_and_of_authentication_have_ids(system: System) -> None:
    for path, headers in (("/nowhere", {}), ("/scripts", {"Host": "evil.example"})):
        answer = system.client.get(path, headers={"X-Request-Id": "me", **headers})

        assert answer.json()["request_id"] == "me"


def test_log_lines_have_the_request_id_and_the_trace_id(system: System) -> None:
    for traceparent in (TRACEPARENT, f"00-{'0' * 32}-00f067aa0ba902b7-01", "nonsense"):
        # Refused by the key cache, which logs it.
        system.client.get(
            "/scripts",
            headers={
                "Authorization": "Bearer nonsense",
                "X-Request-Id": f"logged-{traceparent[:10]}",
                "traceparent": traceparent,
            },
        )

    lines = [json.loads(line) for line in system.logs_of_process("app.main").splitlines()]
    logged = {
        line["request_id"]: line.get("trace_id")
        for line in lines
        if line["event"] == "key.refused" and line.get("request_id", "").startswith("logged-")
    }
    assert logged == {
        "logged-00-4bf92f3": TRACE,
        "logged-00-0000000": None,
        "logged-nonsense": None,
    }


def test_the_audit_log_has_the_request_id(system: System) -> None:
    made = system.client.post(
        "/tenants", json={"name": "envelope"}, headers={"X-Request-Id": "audited"}
    )

    assert made.status_code == 201, made.text
    entries = system.client.get("/audit", params={"action": "tenant.created"}).json()["items"]
    assert "audited" in [entry["request_id"] for entry in entries]


def test_every_response_has_security_headers_and_no_server(
    system: System, paths: list[str]
) -> None:
    for path in paths:
        headers = system.client.get(path).headers

        assert headers["X-Content-Type-Options"] == "nosniff", path
        assert headers["Referrer-Policy"] == "no-referrer", path
        assert headers["X-Frame-Options"] == "DENY", path
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin", path
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin", path
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"], path
        assert "default-src 'none'" in headers["Content-Security-Policy"], path
        assert "Server" not in headers, path
        assert len(headers.get_list("Content-Security-Policy")) == 1, path


def test_pages_of_other_sites_may_not_use_the_api(system: System) -> None:
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "GET"}

    for answer in (
        system.client.options("/scripts", headers=asked),
        system.client.get("/scripts", headers={"Origin": ORIGIN}),
    ):
        assert answer.status_code == 403
        assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.fixture(scope="module")
def shared(system: System) -> Iterator[str]:
    """An API that allows one origin."""
    chosen = f"{ORIGIN}, https://b.example:8443"
    with system.another_api(CRIVO_CORS_ORIGINS=chosen) as url:
        yield url


def test_pages_of_an_allowed_origin_may_use_the_api(system: System, shared: str) -> None:
    for origin in (ORIGIN, "https://b.example:8443"):
        preflight = system.client.options(
            f"{shared}/scripts/x",
            headers={
                "Origin": origin,
                "Access-Control-Request-Method": "PATCH",
                "Access-Control-Request-Headers": "authorization,content-type",
            },
        )
        answer = system.client.get(f"{shared}/scripts", headers={"Origin": origin})

        assert preflight.status_code == 204
        assert "PATCH" in preflight.headers["Access-Control-Allow-Methods"]
        assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]
        assert answer.status_code == 200
        for each in (preflight, answer):
            assert each.headers["Access-Control-Allow-Origin"] == origin
            assert "Origin" in each.headers["Vary"]
            assert "Access-Control-Allow-Credentials" not in each.headers
        assert "RateLimit" in answer.headers["Access-Control-Expose-Headers"]


@pytest.mark.parametrize(
    "origin", ["https://app.example.evil", "http://app.example", "https://app.example:444", "null"]
)
def test_an_origin_is_compared_as_a_whole(system: System, shared: str, origin: str) -> None:
    answer = system.client.get(f"{shared}/scripts", headers={"Origin": origin})

    assert answer.status_code == 403
    assert "Access-Control-Allow-Origin" not in answer.headers
    # A cache must not serve one origin's response to another.
    assert answer.headers["Vary"] == "Origin"


def test_an_error_of_the_protocol_has_the_headers_too(system: System) -> None:
    with connected(system.port) as connection:
        connection.sendall(b"nonsense\r\n\r\n")
        answer = answer_on(connection)

    assert answer is not None
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert json.loads(answer.body)["request_id"] == answer.headers["x-request-id"]
