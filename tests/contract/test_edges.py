"""Requests that match no route get problem documents."""

import json
import socket
from typing import Final
from uuid import uuid4

import httpx
import pytest

from tests.support.system import ROOT, System

PATHS: Final = json.loads((ROOT / "openapi" / "openapi.json").read_bytes())["paths"]


def _filled(path: str) -> str:
    values = {
        "{script}": "nobody",
        "{number}": "1",
        "{alias}": "prod",
        "{execution}": "1",
        "{name}": "nobody",
        "{dataset}": "nobody",
        "{upload}": "1",
        "{path}": "a/parts/1",
        "{key}": "1",
    }
    for name, value in values.items():
        path = path.replace(name, value)
    return path


def _problem(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["title"]
    return answer.status_code, problem["type"].removeprefix("urn:crivo:problem:")


@pytest.mark.parametrize("path", sorted(PATHS))
def test_an_unsupported_method_is_405(system: System, path: str) -> None:
    known = {method.upper() for method in PATHS[path]}

    options = system.client.options(_filled(path))
    assert options.status_code == 204
    assert set(options.headers["Allow"].split(", ")) == known | {"OPTIONS"}
    assert ("HEAD" in known) == ("GET" in known)
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"} - known:
        answer = system.client.request(method, _filled(path))
        assert _problem(answer) == (405, "about:blank"), method
        assert set(answer.headers["Allow"].split(", ")) == known | {"OPTIONS"}, method
    if "HEAD" not in known:
        head = system.client.head(_filled(path))
        assert (head.status_code, head.content) == (405, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/scripts/a/b/c/d",
        "/scripts/a%2Fb/versions",
        "/health",
        "/scripts/%00/versions/1/sources",
        "/%ff",
        "/..%2f..%2fetc%2fpasswd",
        "/executions/x/y",
    ],
)
def test_an_unknown_address_is_404(system: System, path: str) -> None:
    assert _problem(system.client.get(path))[0] == 404


@pytest.mark.parametrize("path", ["/scripts/%00", "/scripts/%ff", "/scripts/" + "a" * 8_000])
def test_an_impossible_name_is_404(system: System, path: str) -> None:
    assert _problem(system.client.get(path)) == (404, "script-not-found")


def test_a_trailing_slash_changes_nothing(system: System) -> None:
    assert system.client.get("/scripts/").json() == system.client.get("/scripts").json()


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("multipart/form-data", 400),
        ("multipart/form-data; boundary=", 400),
        ("multipart/form-data; boundary=x", 400),
        ("multipart/form-data; boundary=" + "x" * 5_000, 400),
        ("multipart/form-data; boundary=\xff", 400),
        ("application/json; charset", 400),
        ("application", 415),
        ("/", 415),
        (";", 415),
        ("application/json, text/plain", 415),
        ("\xff/\xfe", 415),
    ],
)
@pytest.mark.parametrize("path", ["/scripts", "/scripts/check"])
def test_a_body_that_contradicts_its_headers_is_refused(
    system: System, path: str, content_type: str, expected: int
) -> None:
    headers = {b"Content-Type": content_type.encode("latin-1")}

    answer = system.client.post(path, content=b"--y\r\n\r\nnothing", headers=headers)

    status, kind = _problem(answer)
    assert status == expected, answer.text
    assert kind in ("malformed-request", "unsupported-media-type")


@pytest.mark.parametrize(
    "body",
    [
        b"--x\r\nContent-Disposition: form-data\r\n\r\n1\r\n--x--\r\n",
        b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\n1',
        b'--x\r\nContent-Disposition: form-data; name="file"\r\n',
        b"--x\r\nnothing\r\n\r\n1\r\n--x--\r\n",
        b'--x\r\nContent-Disposition: form-data; name="\xff"\r\n\r\n1\r\n--x--\r\n',
        b'--x\r\nContent-Disposition: form-data; name="source"\r\n\r\n\xff\r\n--x--\r\n',
        b'--x\r\nContent-Disposition: form-data; name="a"\r\n%b\r\n\r\n1\r\n--x--\r\n'
        % b"Content-Type: text/plain; charset=none",
        b"--x--\r\n",
        b"",
    ],
)
def test_a_broken_form_is_refused(system: System, body: bytes) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x"}

    answer = system.client.post("/scripts/check", content=body, headers=headers)

    assert _problem(answer)[0] in (400, 415, 422), answer.text


@pytest.mark.parametrize(
    "header",
    [
        b"Content-Length: x",
        b"Content-Length: -1",
        b"Content-Length: 1, 2",
        b"Content-Length: 1\r\nContent-Length: 2",
        b"Transfer-Encoding: x",
        b"X: " + b"x" * 100_000,
    ],
)
def test_a_request_that_is_not_http_is_400(system: System, header: bytes) -> None:
    with socket.create_connection(("127.0.0.1", system.port), timeout=30) as connection:
        connection.sendall(
            b"POST /scripts/check HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: application/json\r\n" + header + b"\r\n\r\n{}"
        )
        answer = connection.recv(65_536)

    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 431 ", b"HTTP/1.1 501 ")), answer


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_unexpected_body_does_no_harm(system: System, method: str) -> None:
    name = f"bodies-{uuid4()}"[:40]
    system.upload(name, "const process = data => data")

    answer = system.client.request(
        method, f"/scripts/{name}", content=b"{", headers={"Content-Type": "application/xml"}
    )

    assert answer.status_code == 200
