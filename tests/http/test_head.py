"""HEAD responds like GET without the body, and does not wait, stream or read it."""

import re
from typing import Any
from uuid import uuid4

import pytest

from tests.support.openapi_document import with_responses
from tests.support.raw_connections import answer_on, connected
from tests.support.system import System
from tests.support.system_with_keys import SystemWithKeys

# Headers that differ between any two responses, or say how a body is sent (RFC 9112, 6.1).
OF_THE_MOMENT = {"date", "x-request-id", "ratelimit", "transfer-encoding"}
# What a path needs besides.
QUERIES = {
    "/schemas/{schema}/ddl": "?dialect=duckdb",
    "/exports/{export}/ddl": "?dialect=duckdb&location=there",
}


def test_every_get_of_the_document_has_a_head_with_the_same_headers(
    keyed: SystemWithKeys, filled: dict[str, str]
) -> None:
    paths: dict[str, dict[str, Any]] = with_responses(keyed.get("/openapi.json").json())["paths"]
    assert {path for path in paths if "get" in paths[path]} == {
        path for path in paths if "head" in paths[path]
    }
    for path, methods in paths.items():
        if "get" not in methods:
            continue
        values = {**filled, "key": "a"} if path.startswith("/datasets") else filled
        address = path.format(**values) + QUERIES.get(path, "")
        got, head = keyed.get(address), keyed.request("HEAD", address)

        assert (head.status_code, head.content) == (got.status_code, b""), address
        assert got.is_success, (address, got.text)
        assert str(head.status_code) in methods["head"]["responses"]
        assert not any("content" in each for each in methods["head"]["responses"].values())
        # Streams have no length, and metrics change with each request.
        different = OF_THE_MOMENT | ({"content-length"} if address == "/metrics" else set())
        assert _without(different, head.headers.multi_items()) == _without(
            different, got.headers.multi_items()
        ), address


def _without(names: set[str], headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return sorted(each for each in headers if each[0] not in names)


@pytest.mark.parametrize(
    "path",
    ["/scripts/nobody", "/executions/1", "/scripts?limit=0", "/nothing", "/executions/1/result"],
)
def test_a_refused_head_has_the_status_and_length_of_its_get(system: System, path: str) -> None:
    headers = {"X-Request-Id": "the-same"}
    got = system.client.get(path, headers=headers)
    head = system.client.head(path, headers=headers)

    assert (head.status_code, head.content) == (got.status_code, b"")
    assert head.headers["Content-Length"] == got.headers["Content-Length"]
    assert head.headers["Content-Type"] == "application/problem+json"


def test_no_body_is_sent(system: System) -> None:
    with connected(system.port) as connection:
        connection.sendall(
            b"HEAD /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
        )
        answer = answer_on(connection)

    assert answer is not None
    assert (answer.status, answer.body) == (200, b"")
    assert int(answer.headers["content-length"]) > 0


def test_a_head_reports_the_size_of_a_download_and_ignores_ranges(
    keyed: SystemWithKeys, filled: dict[str, str]
) -> None:
    address = f"/executions/{filled['execution']}/result"
    whole = keyed.request("HEAD", address)
    part = keyed.request("HEAD", address, headers={"Range": "bytes=0-1"})
    known = keyed.request("HEAD", address, headers={"If-None-Match": whole.headers["ETag"]})

    assert (part.status_code, part.headers["Content-Length"]) == (200, "6")
    assert "Content-Range" not in part.headers
    assert known.status_code == 304
    # A GET with an unsatisfiable range is refused.
    assert keyed.request("HEAD", address, headers={"Range": "bytes=9-"}).status_code == 200


def test_a_head_reads_no_blob(system: System) -> None:
    # A result that no other test has.
    text = uuid4().hex
    system.upload("head-large", "function process(data) { return data.repeat(1e5) }")
    result = system.run("head-large", f'"{text}"'.encode())["result_url"]
    [blob] = [
        each
        for each in (system.folder / "blobs").rglob("*")
        if each.is_file() and each.read_bytes() == f'"{text * 100_000}"'.encode()
    ]
    blob.unlink()

    assert system.client.head(result).headers["Content-Length"] == str(3_200_002)


def test_a_head_of_an_unfinished_execution_neither_waits_nor_streams(
    stopped_system: System,
) -> None:
    system = stopped_system
    system.environ["CRIVO_MAX_WAITING"] = "1"
    system.start_api()
    system.await_api()
    system.upload("waiting", "function process(data) { return data }")
    location = system.submit("waiting", b"1")

    # It never finishes: a request that waited would outlast the client's timeout.
    with system.client.stream("GET", f"{location}/events") as taken:
        assert taken.status_code == 200
        waited = system.client.head(location, params={"wait": 60})
        preferred = system.client.head(location, headers={"Prefer": "wait=60"})
        events = system.client.head(f"{location}/events")
        # The only waiter is registered.
        assert system.client.get(location, params={"wait": 60}).status_code == 503

    assert [each.status_code for each in (waited, preferred, events)] == [200, 200, 200]
    assert waited.headers["Content-Length"] == preferred.headers["Content-Length"]
    assert "Preference-Applied" not in preferred.headers
    assert re.match("text/event-stream", events.headers["Content-Type"])
    assert system.client.head(location, params={"wait": "long"}).status_code == 422


def test_a_head_of_ended_events_is_204(keyed: SystemWithKeys, filled: dict[str, str]) -> None:
    address = f"/executions/{filled['execution']}/events"

    assert keyed.request("HEAD", address, headers={"Last-Event-ID": "1000"}).status_code == 204
    assert keyed.request("HEAD", address).status_code == 200
