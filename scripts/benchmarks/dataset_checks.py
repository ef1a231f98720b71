"""Compare a sent dataset with its source: every byte of its files, and records by their keys."""

import http.client
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from http.client import HTTPConnection, HTTPResponse
from itertools import chain
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from scripts.benchmarks.dataset_files import SourceFile
from scripts.benchmarks.dataset_rows import Rows

_HOST: Final = "127.0.0.1"
_SECONDS: Final = 120.0
_CHUNK_BYTES: Final = 1 << 20
_THREADS: Final = 4
# Of the 1,000 keys of a request; beside them are keys that no record has.
_KNOWN: Final = 980
_MAX_SHOWN: Final = 200


class Found(Struct, frozen=True, kw_only=True):
    """How many records were looked for, and what differs."""

    looked_up: int
    faults: list[str]


class SentDataset:
    """A dataset over HTTP."""

    def __init__(self, port: int, dataset: str) -> None:
        """Take where it is."""
        self._port = port
        self._address = f"/datasets/{dataset}"

    def list_of(self, what: str) -> list[dict[str, Any]]:
        """Return its files or snapshots. Raises RuntimeError."""
        path = f"{self._address}/{what}?limit=100"
        with closing(self._connect()) as connection:
            connection.request("GET", path)
            response = connection.getresponse()
            content = response.read()
        if response.status != http.client.OK:
            raise RuntimeError(f"GET {path}: {response.status} {content!r}")
        items: list[dict[str, Any]] = msgspec.json.decode(content)["items"]
        return items

    def compare_files(self, files: Sequence[SourceFile]) -> list[str]:
        """Download files, and name what differs."""
        faults = []
        for file in files:
            with closing(self._connect()) as connection:
                connection.request("GET", f"{self._address}/files/{file.path.name}")
                try:
                    difference = _difference(connection.getresponse(), file.path)
                except (OSError, http.client.HTTPException) as error:
                    difference = repr(error)
            if difference:
                faults.append(f"{file.path.name}: {difference}")
        return faults

    def compare_records(self, rows: Rows, *, lookups: int) -> "Found":
        """Find records by keys, all if there are no more than `lookups`, else a random sample."""
        rng = random.Random(14)  # noqa: S311 - a reproducible sample
        numbers: Sequence[int] = range(rows.count)
        if rows.count > lookups:
            numbers = rng.sample(numbers, lookups)
        batches = [numbers[at : at + _KNOWN] for at in range(0, len(numbers), _KNOWN)]
        with ThreadPoolExecutor(_THREADS) as pool:
            faults = pool.map(partial(self._compare_batch, rows), batches)
            return Found(looked_up=len(numbers), faults=[*chain.from_iterable(faults)])

    def _compare_batch(self, rows: Rows, numbers: Sequence[int]) -> list[str]:
        known = [rows.key(number) for number in numbers]
        # Numbers are other keys than strings.
        unknown = [*(str(rows.count + each) for each in known[:10]), *known[:10]]
        body = msgspec.json.encode({"keys": [*map(str, known), *unknown]})
        expected = [
            *(b'{"key":"%d","snapshot":1,"record":%b}' % (each, rows.line(each)) for each in known),
            *(
                b'{"key":%b,"snapshot":null,"record":null}' % msgspec.json.encode(each)
                for each in unknown
            ),
        ]
        headers = {"Content-Type": "application/json"}
        with closing(self._connect()) as connection:
            connection.request("POST", f"{self._address}/records", body, headers)
            try:
                response = connection.getresponse()
                content = response.read()
            except (OSError, http.client.HTTPException) as error:
                return [f"records: {error!r}"]
        if response.status != http.client.OK:
            return [f"records: {response.status} {content[:_MAX_SHOWN]!r}"]
        lines = content.splitlines()
        if len(lines) != len(expected):
            return [f"records: {len(lines)} lines for {len(expected)} keys"]
        return [
            f"record {ours[:_MAX_SHOWN]!r} is {theirs[:_MAX_SHOWN]!r}"
            for ours, theirs in zip(expected, lines, strict=True)
            if ours != theirs
        ]

    def _connect(self) -> HTTPConnection:
        return HTTPConnection(_HOST, self._port, timeout=_SECONDS)


def _difference(response: HTTPResponse, path: Path) -> str:
    """Return what is wrong with a download of a file; empty if nothing is."""
    if response.status != http.client.OK:
        return f"{response.status} {response.read(_MAX_SHOWN)!r}"
    at = 0
    with path.open("rb") as file:
        for chunk in _chunks(response):
            if file.read(len(chunk)) != chunk:
                return f"differs after byte {at}"
            at += len(chunk)
        return "" if not file.read(1) else f"ends at byte {at}"


def _chunks(response: HTTPResponse) -> Iterator[bytes]:
    while chunk := response.read(_CHUNK_BYTES):
        yield chunk
