"""Streams of records and downloads are few for each tenant: slow readers are bounded."""

import socket
from contextlib import ExitStack
from typing import Final

import pytest

from app.limits import MAX_DOWNLOADS, MAX_RECORD_STREAMS
from tests.support.raw_connections import connected
from tests.support.system import System

# More than the buffers of a connection hold.
LONG: Final = 12 * 2**20


@pytest.fixture
def long_records(system: System, dataset: str) -> str:
    line = b'{"pk":"long","text":"%b"}\n' % (b"x" * LONG)
    for path in ("a", "b"):
        assert system.client.put(f"{dataset}/files/{path}", content=line).status_code == 201
    return dataset


@pytest.mark.parametrize(
    ("line", "most"),
    [
        ("GET {}/records?from=0", MAX_RECORD_STREAMS),
        ("GET {}/records/long", MAX_RECORD_STREAMS),
        ("GET {}/records/long?history=true", MAX_RECORD_STREAMS),
        ("POST {}/records", MAX_RECORD_STREAMS),
        ("GET {}/files/a", MAX_DOWNLOADS),
    ],
)
def test_slow_readers_of_a_tenant_wait_for_each_other(
    system: System, long_records: str, line: str, most: int
) -> None:
    body = b'{"keys":["long"]}' if line.startswith("POST") else b""
    request = (
        f"{line.format(long_records)} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    with ExitStack() as stack:
        readers = [stack.enter_context(connected(system.port)) for _ in range(most)]
        for each in readers:
            each.sendall(request)
            _await_body(each, seconds=60)
        waiting = stack.enter_context(connected(system.port))
        waiting.sendall(request)
        # Without a limit it begins within some 50 ms; under load this proves less, never more.
        with pytest.raises(TimeoutError):
            _await_body(waiting, seconds=1)

        # What is no stream goes on.
        assert system.client.get(long_records).status_code == 200
        readers[0].close()
        _await_body(waiting, seconds=60)


def test_a_long_record_comes_whole_in_every_form(system: System, long_records: str) -> None:
    record = b'{"pk":"long","text":"%b"}' % (b"x" * LONG)
    records = f"{long_records}/records"

    single = system.client.get(f"{records}/long")
    head = system.client.head(f"{records}/long")
    lines = system.client.get(records).content
    history = system.client.get(f"{records}/long?history=true").content
    found = system.client.post(records, json={"keys": ["long"]}).content

    assert single.content == record
    assert single.headers["Content-Length"] == head.headers["Content-Length"] == str(len(record))
    assert lines == (record + b"\n") * 2
    assert history == b'[{"snapshot":2,"record":%b},{"snapshot":1,"record":%b}]' % (record, record)
    assert found == b'{"key":"long","snapshot":2,"record":%b}\n' % record


def _await_body(connection: socket.socket, *, seconds: float) -> None:
    """Read until a record begins. Raises TimeoutError."""
    connection.settimeout(seconds)
    received = b""
    while b'{"pk":' not in received:
        received += connection.recv(1)
        assert len(received) < 4_096
