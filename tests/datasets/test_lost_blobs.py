"""A response whose data vanishes ends as a problem, or is cut; it never looks whole."""

import itertools
import json
from pathlib import Path
from typing import Final

import httpx
import pytest

from tests.support.system import System

# Three parts.
CONTENT: Final = b"".join(b'{"pk":"%d","text":"%s"}\n' % (n, b"x" * 900) for n in range(24_000))
# The first line of the second part.
SECOND: Final = CONTENT.count(b"\n", 0, 8 * 2**20) + 1


def _parts(system: System) -> set[Path]:
    return set((system.folder / "blobs").glob("*/datasets/*"))


@pytest.fixture
def parts(system: System, dataset: str) -> list[Path]:
    """Publish a file, and return the blobs of its parts in order."""
    before = _parts(system)
    put = system.client.put(f"{dataset}/files/a", content=CONTENT)
    assert put.json()["file"]["parts"] == 3
    return sorted(_parts(system) - before)


def _code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].removeprefix("urn:crivo:problem:")


def test_a_download_is_cut_where_a_part_is_lost(
    system: System, dataset: str, parts: list[Path]
) -> None:
    received = bytearray()
    with system.client.stream("GET", f"{dataset}/files/a") as answer:
        chunks = answer.iter_raw()
        received += next(chunks)
        # More than sockets and streams hold by now.
        parts[2].unlink()
        with pytest.raises(httpx.RemoteProtocolError):
            received.extend(itertools.chain.from_iterable(chunks))

    assert answer.status_code == 200
    assert len(received) < len(CONTENT)
    assert CONTENT.startswith(received)
    # What is left can be read.
    known = system.client.get(f"{dataset}/files/a", headers={"Range": "bytes=0-9999999"})
    assert known.content == CONTENT[:10_000_000]


def test_many_records_are_cut_where_a_part_is_lost(
    system: System, dataset: str, parts: list[Path]
) -> None:
    parts[1].unlink()
    listed = {"from": SECOND - 500, "limit": 1_000}

    with pytest.raises(httpx.RemoteProtocolError):
        system.client.get(f"{dataset}/records", params=listed)
    with pytest.raises(httpx.RemoteProtocolError):
        system.client.post(f"{dataset}/records", json={"keys": ["1", str(SECOND + 9), "2"]})

    answer = system.client.get(f"{dataset}/records/1")
    assert (answer.status_code, answer.json()["pk"]) == (200, "1")


def test_a_response_that_has_not_begun_is_a_problem(
    system: System, dataset: str, parts: list[Path]
) -> None:
    parts[0].unlink()
    get = system.client.get

    lost = (500, "data-lost")
    assert _code(get(f"{dataset}/files/a")) == lost
    assert _code(get(f"{dataset}/records/1")) == lost
    assert _code(get(f"{dataset}/records/1", params={"history": "true"})) == lost
    assert _code(get(f"{dataset}/records")) == lost
    assert _code(system.client.post(f"{dataset}/records", json={"keys": ["1"]})) == lost
    logged = [
        json.loads(line)
        for line in system.logs_of_process("app.main").splitlines()
        if "blob.lost" in line
    ]
    assert parts[0].name in logged[-1]["reason"]
