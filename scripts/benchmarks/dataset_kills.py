"""Send a folder with `crivo send` while client and service are killed, and account for all of it.

The client is killed three times, the API twice, PostgreSQL and the worker once, at even shares of
the parts that the upload holds. Then there is one snapshot, whose files are those of the folder,
byte by byte, and every key finds its line. No part was sent again except for those that were on
their way at a kill.
"""

import asyncio
import os
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Final

import asyncpg
import uvloop

from app.background import background
from app.limits import PART_BYTES
from scripts.benchmarks.dataset_checks import SentDataset
from scripts.benchmarks.dataset_faults import Evidence, Kill, count_repeats, find_faults
from scripts.benchmarks.dataset_files import SourceFile, rows_of_size, write_files
from scripts.benchmarks.dataset_rows import Rows
from scripts.benchmarks.dataset_sender import Answer, Sender, read_answers
from scripts.benchmarks.load import Client
from scripts.benchmarks.output import new_line, print_json, print_line
from scripts.benchmarks.process_usage import peak_mib
from scripts.benchmarks.restarts import keep_running, kill
from scripts.benchmarks.systems import Crivo, running_crivo

VICTIMS: Final = ("client", "api", "client", "postgres", "api", "client", "worker")
_DATASET: Final = "scores"
_POLL_SECONDS: Final = 0.02
_MERGE_POLL_SECONDS: Final = 0.2
_MERGE_SECONDS: Final = 1_800.0
_MAX_FAULTS: Final = 20
# The goals of the issue.
_STORED_SHARE: Final = 0.8
_API_MIB: Final = 250

COUNT_HELD: Final = "SELECT count(*) FROM dataset_parts"
SELECT_STORED: Final = """
SELECT (SELECT count(*) FROM dataset_uploads) AS uploads,
       (SELECT count(*) FROM dataset_parts) AS parts,
       (SELECT unmerged <= 1 FROM datasets) AS is_merged,
       (SELECT sum(stored_bytes + CASE WHEN index_key IS NULL THEN 0 ELSE index_bytes END)
        FROM dataset_parts)
       + (SELECT coalesce(sum(stored_bytes), 0) FROM dataset_segments) AS bytes
"""


class _Run:
    """The system, the client, and the peaks of the resident sets of both."""

    def __init__(self, crivo: Crivo, sender: Sender) -> None:
        self.crivo = crivo
        self.sender = sender
        self.peaks: Counter[str] = Counter()

    async def watch(self) -> None:
        """Read the peaks until cancelled; those of a killed process are of a moment before."""
        while True:
            pids = {**self.crivo.roots, "client": self.sender.pid}
            for name in ("api", "worker", "client"):
                # It has ended.
                with suppress(OSError, ValueError):
                    self.peaks[name] = max(self.peaks[name], round(peak_mib([pids[name]])))
            await asyncio.sleep(_POLL_SECONDS)

    async def kill_in_turn(self, parts: int) -> list[Kill]:
        """Kill each victim once the upload holds so many parts; a client only while it runs."""
        kills: list[Kill] = []
        held = _HeldParts(self.crivo.database_url)
        try:
            for turn, victim in enumerate(VICTIMS, 1):
                enough = parts * turn // (len(VICTIMS) + 1)
                # ASYNC110: another process cannot set an event here.
                while await held.count() < enough and not self.sender.has_ended:  # noqa: ASYNC110
                    await asyncio.sleep(_POLL_SECONDS)
                if victim == "client" and self.sender.has_ended:
                    # Another one would send all again.
                    break
                kills.append(Kill(victim=victim, at=time.time()))
                if victim == "client":
                    self.sender.kill()
                else:
                    await kill(self.crivo, victim)
        finally:
            held.close()
        return kills


def measure(*, size: int, lookups: int, record_bytes: int) -> int:
    """Measure in temporary folders and print; return 1 if anything was lost, doubled or changed."""
    with tempfile.TemporaryDirectory(prefix="crivo-bench-") as name:
        folder = Path(name)
        rows = rows_of_size(size, record_bytes=record_bytes)
        files = write_files(folder / _DATASET, rows)
        return uvloop.run(_measure(folder, rows, files, lookups=lookups))


async def _measure(folder: Path, rows: Rows, files: Sequence[SourceFile], *, lookups: int) -> int:
    size = sum(each.size for each in files)
    async with running_crivo(CRIVO_ACCESS_LOG="true") as crivo:
        await _create_dataset(crivo)
        began = time.perf_counter()
        url = f"http://127.0.0.1:{crivo.port}"
        sender = Sender(folder / _DATASET, folder / "home", url=url, dataset=_DATASET, key="/pk")
        run = _Run(crivo, sender)
        try:
            async with background(keep_running(crivo)), background(run.watch()):
                kills = await run.kill_in_turn(sum(-(-each.size // PART_BYTES) for each in files))
                sent = await asyncio.to_thread(sender.result)
                upload_seconds = time.perf_counter() - began
                if isinstance(sent, str):
                    print_json({"bench": "dataset-kills", "faults": 1, "first_faults": [sent]})
                    return 1
                is_merged = await _await_merge(crivo)
                merge_seconds = time.perf_counter() - began - upload_seconds
                dataset = SentDataset(crivo.port, _DATASET)
                wrong = await asyncio.to_thread(dataset.compare_files, files)
                found = await asyncio.to_thread(dataset.compare_records, rows, lookups=lookups)
                stored = await _select_stored(crivo)
                evidence = Evidence(
                    kills=kills,
                    sent=sent,
                    answers=read_answers(crivo.log("api")),
                    uploads=stored["uploads"],
                    parts=stored["parts"],
                    is_merged=is_merged,
                    snapshots=dataset.list_of("snapshots"),
                    files=dataset.list_of("files"),
                    wrong=[*wrong, *found.faults],
                )
        finally:
            sender.stop()
    _print_figures(
        {
            "upload": ("MB/s", size / 1e6 / upload_seconds, None),
            "upload-seconds": ("s", upload_seconds, None),
            "merge": ("s", merge_seconds, None),
            "stored": ("of raw", int(stored["bytes"]) / size, _STORED_SHARE),
            "api-peak": ("MiB", run.peaks["api"], _API_MIB),
            "client-peak": ("MiB", run.peaks["client"], None),
            "worker-peak": ("MiB", run.peaks["worker"], None),
        }
    )
    faults = find_faults(files, evidence, victims=VICTIMS)
    print_json(
        {
            "bench": "dataset-kills",
            "files": len(files),
            "bytes": size,
            "records": rows.count,
            "parts": evidence.parts,
            "looked_up": found.looked_up,
            "kills": dict(sorted(Counter(each.victim for each in kills).items())),
            "answers": _count_answers(evidence.answers),
            "parts_repeated": count_repeats(evidence.answers),
            "cpus": os.cpu_count(),
            "faults": len(faults),
            "first_faults": faults[:_MAX_FAULTS],
        }
    )
    return 1 if faults else 0


def _print_figures(figures: Mapping[str, tuple[str, float, float | None]]) -> None:
    for name, (unit, value, goal) in figures.items():
        bench = f"dataset-kills-{name}"
        print_line(new_line(bench, unit=unit, runs=[value], baseline=("", ()), goal=goal))


def _count_answers(answers: Sequence[Answer]) -> dict[str, int]:
    """Count the answers to parts by status; one that nobody waited for has none."""
    counts = Counter(str(each.status or "none") for each in answers)
    return dict(sorted(counts.items()))


async def _create_dataset(crivo: Crivo) -> None:
    client = Client(crivo.port)
    headers = "Content-Type: application/json\r\n"
    status, answer = await client.request(
        "PUT", f"/datasets/{_DATASET}", b'{"key":"/pk"}', headers=headers
    )
    client.close()
    if status != HTTPStatus.CREATED:
        raise RuntimeError(f"PUT /datasets/{_DATASET}: {status} {answer!r}")


async def _await_merge(crivo: Crivo) -> bool:
    """Wait until the indexes are merged; return whether they are, in time."""
    began = time.monotonic()
    while time.monotonic() - began < _MERGE_SECONDS:
        if (await _select_stored(crivo))["is_merged"]:
            return True
        await asyncio.sleep(_MERGE_POLL_SECONDS)
    return False


async def _select_stored(crivo: Crivo) -> asyncpg.Record:
    conn = await asyncpg.connect(crivo.database_url)
    try:
        row = await conn.fetchrow(SELECT_STORED)
    finally:
        await conn.close()
    assert row is not None  # noqa: S101 - the statement returns a row in every case
    return row


# How asyncpg tells that PostgreSQL is away: the last is of a server that dies as it answers.
_GONE: Final = (
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)


class _HeldParts:
    """Count the parts that the upload holds, over a connection that outlives no PostgreSQL."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._connection: asyncpg.Connection | None = None

    async def count(self) -> int:
        """Return the number; 0 while nobody can say."""
        try:
            if self._connection is None:
                self._connection = await asyncpg.connect(self._database_url)
            held: int = await self._connection.fetchval(COUNT_HELD)
        except _GONE:
            self.close()
            return 0
        return held

    def close(self) -> None:
        """Close the connection at once: the other end may be dead."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
