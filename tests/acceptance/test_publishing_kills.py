"""Workers and PostgreSQL are killed amid publishing: readers see one export, nothing is left."""

import asyncio
import io
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from datetime import timedelta
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final, Self

import httpx
import obstore
import psutil
import pyarrow.parquet as pq  # type: ignore[import-untyped] # has no types
import pytest
from obstore.store import from_url

from app.blobs import open_blobs
from app.db import open_pool
from app.exports.retention import EXPORT_OWNER
from app.limits import MIB
from app.payloads.retention import delete_orphans
from app.settings import Settings
from tests.exports.published_folders import objects
from tests.support.launcher_process import ROOT, LauncherProcess, eventually, free_port
from tests.support.servers_s3 import S3, run_s3
from tests.support.stalling_worker import REACHED, name_of

BEFORE, NOTHING, AFTER = 0, None, 1
# Where publishing stalls, and after which round a reader finds the rows that it sees there.
STEPS: Final = [
    ("before put _crivo/.*.begun.json", BEFORE),
    ("after put _crivo/.*.begun.json", BEFORE),
    ("after delete _SUCCESS", NOTHING),
    ("within write .*", NOTHING),
    ("after write _crivo/[0-9a-f-]*.json", NOTHING),
    ("after delete .*.parquet", NOTHING),
    ("before put _SUCCESS", NOTHING),
    ("after put _SUCCESS", AFTER),
    ("after delete _crivo/.*.begun.json", AFTER),
]
# PostgreSQL is killed at these.
OUTAGES: Final = {"within write .*": NOTHING, "after put _SUCCESS": AFTER}
# Each round adds lines of so many keys; half of them are those of the round before.
KEYS: Final = 20


def rows_after(round_: int) -> set[tuple[int, int]]:
    """Return the keys that are exported after a round, and of which round each row is."""
    return {(key, min(key // (KEYS // 2), round_)) for key in range((round_ + 2) * (KEYS // 2))}


class Lake:
    """A destination, read as a program reads it that begins at `_SUCCESS`."""

    def __init__(self, url: str, s3: S3) -> None:
        self.url = url
        self.s3 = s3
        self._root = Path(url.removeprefix("file://"))
        self._is_local = url.startswith("file:")

    def followed(self) -> tuple[str, set[tuple[int, int]]] | None:
        """Return the export that is published, and its rows; None: a reader has to wait."""
        with suppress(FileNotFoundError):
            success = json.loads(self._read("_SUCCESS"))
            manifest = json.loads(self._read(success["manifest"]))
            assert manifest["export"] == success["export"]
            rows = [row for each in manifest["files"] for row in self._rows(each["path"])]
            assert len(rows) == len(set(rows)) == manifest["rows_out"]
            return success["export"], set(rows)
        return None

    def _rows(self, path: str) -> Iterator[tuple[int, int]]:
        for row in pq.ParquetFile(io.BytesIO(self._read(path))).read().to_pylist():
            yield row["key"], row["round"]

    def _read(self, path: str) -> bytes:
        if self._is_local:
            return (self._root / path).read_bytes()
        store = from_url(
            self.url,
            endpoint=self.s3.url,
            region="us-east-1",
            access_key_id=self.s3.environ["AWS_ACCESS_KEY_ID"],
            secret_access_key=self.s3.environ["AWS_SECRET_ACCESS_KEY"],
            client_options={"allow_http": True},
        )
        return bytes(obstore.get(store, path).bytes())


class PublishingSystem:
    """A system whose only worker for exports stalls where a test says."""

    def __init__(self, launched: LauncherProcess, folder: Path) -> None:
        self.launched = launched
        self.environ = launched.child("app.worker").environ()
        self.worker: subprocess.Popen[bytes] | None = None
        # The API may be on its way back, too.
        transport = httpx.HTTPTransport(retries=5, trust_env=False)
        self.client = httpx.Client(base_url=launched.url, transport=transport, timeout=60)
        self._stalls = folder / "stalls"
        self._stalls.mkdir()
        self._log = (folder / "stalling_worker.log").open("wb")

    def __enter__(self) -> Self:
        self.worker = self._start_worker()
        return self

    def __exit__(self, *_: object) -> None:
        assert self.worker is not None
        self.worker.terminate()
        self.worker.wait()
        self.client.close()
        self._log.close()

    def stall(self, lake: Lake, step: str) -> None:
        (self._stalls / name_of(lake.url)).write_text(step)

    def await_stalled(self, destinations: int) -> None:
        eventually(lambda: len(list(self._stalls.glob(f"*{REACHED}"))) == destinations)

    def kill_worker(self) -> None:
        """Kill the worker while all stall, and start another."""
        assert self.worker is not None
        self.worker.kill()
        self.worker.wait()
        self._go_on()
        self.worker = self._start_worker()

    def kill_postgres(self) -> None:
        """Kill PostgreSQL while all stall; they go on before the launcher has started it again."""
        postgres = self.launched.child("postgres")
        postgres.kill()
        psutil.wait_procs([postgres])
        self._go_on()

    def _go_on(self) -> None:
        for each in self._stalls.iterdir():
            each.unlink()

    def add_lines(self, round_: int) -> None:
        first = round_ * (KEYS // 2)
        lines = [
            json.dumps({"key": key, "round": round_, "tens": key // 10})
            for key in range(first, first + KEYS)
        ]
        path = f"/datasets/events/files/{round_:02}.jsonl"
        self.client.put(path, content="\n".join(lines)).raise_for_status()

    def export(self, to: str, since: int | None) -> str:
        asked = {
            "dataset": "events",
            "deduplicate": {"key": "/key", "latest_by": "/round"},
            "partition_by": ["/tens"],
            "to": to,
        }
        answer = self.client.post("/exports", json=asked | ({"since": since} if since else {}))
        assert answer.status_code == 202, answer.text
        return str(answer.headers["Location"])

    def shown(self, export: str) -> dict[str, Any]:
        with suppress(httpx.TransportError, json.JSONDecodeError):
            found: dict[str, Any] = self.client.get(export).json()
            return found
        return {}

    def _start_worker(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.support.stalling_worker"],
            env={
                **self.environ,
                "CRIVO_EXPORT_TASKS": str(2 * len(STEPS)),
                "CRIVO_WORKER_SLOTS": "1",
                "STALLS": str(self._stalls),
            },
            cwd=ROOT,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )


@pytest.fixture
def lakes(tmp_path: Path) -> Iterator[list[Lake]]:
    """A folder and a bucket for each step."""
    (tmp_path / "lake").mkdir()
    with run_s3() as s3:
        roots = (f"file://{tmp_path}/lake", "s3://crivo")
        yield [Lake(f"{root}/default/{n}", s3) for n in range(len(STEPS)) for root in roots]


@pytest.fixture
def publishing(tmp_path: Path, lakes: list[Lake]) -> Iterator[PublishingSystem]:
    s3 = lakes[0].s3
    environ = {
        **{name: s3.environ[name] for name in s3.environ if name != "BLOB_URL"},
        "CRIVO_EXPORT_DESTINATIONS": f"file://{tmp_path}/lake/{{tenant}}, s3://crivo/{{tenant}}",
        "CRIVO_EXPORT_S3_ENDPOINT": s3.url,
        "CRIVO_EXPORT_TASKS": "0",
        "CRIVO_EXPORT_THREADS": "1",
        "CRIVO_EXPORT_MEMORY_BYTES": str(256 * MIB),
        # Many are at work at once.
        "CRIVO_LEASE_SECONDS": "5",
    }
    command = (sys.executable, "-m", "app.embedded")
    with ExitStack() as stack:
        launched = stack.enter_context(
            LauncherProcess(tmp_path / "data", free_port(), command=command, environ=environ)
        )
        launched.wait_until_ready()
        yield stack.enter_context(PublishingSystem(launched, tmp_path))


def test_readers_find_one_export_wherever_publishing_is_killed(
    publishing: PublishingSystem, lakes: list[Lake]
) -> None:
    publishing.client.put("/datasets/events", json={}).raise_for_status()
    publishing.add_lines(0)
    first = [_succeeded(publishing, each, 0) for each in _started(publishing, lakes)]

    publishing.add_lines(1)
    steps = [step for step in STEPS for _ in range(2)]
    for lake, (step, _) in zip(lakes, steps, strict=True):
        publishing.stall(lake, step)
    # Each second folder and bucket continues what is there, of which files stay.
    snapshots = [each["input"]["snapshot"] for each in first]
    since = [each if n % 4 < 2 else None for n, each in enumerate(snapshots)]
    second = _started(publishing, lakes, since)
    publishing.await_stalled(len(lakes))
    _require_seen(lakes, [seen for _, seen in steps])
    publishing.kill_worker()
    for each in second:
        shown = _succeeded(publishing, each, 1)
        assert shown["receipt"]["attempts"] > shown["receipt"]["tasks"]

    publishing.add_lines(2)
    steps = [step for step in OUTAGES.items() for _ in range(2)]
    used = lakes[: len(steps)]
    for lake, (step, _) in zip(used, steps, strict=True):
        publishing.stall(lake, step)
    third = _started(publishing, used)
    publishing.await_stalled(len(used))
    _require_seen(used, [None if seen is None else seen + 1 for _, seen in steps])
    publishing.kill_postgres()
    for each in third:
        _succeeded(publishing, each, 2)
    files = sum(len(objects(each.url, each.s3)) - 2 for each in lakes)
    asyncio.run(_require_nothing_left(publishing.environ, files=files))


def _started(
    publishing: PublishingSystem, lakes: list[Lake], since: Sequence[int | None] = ()
) -> list[tuple[str, Lake]]:
    pairs = zip_longest(lakes, since)
    return [(publishing.export(lake.url, snapshot), lake) for lake, snapshot in pairs]


def _require_seen(lakes: list[Lake], seen: Sequence[int | None]) -> None:
    found = [each.followed() for each in lakes]
    assert [each and each[1] for each in found] == [
        None if each is None else rows_after(each) for each in seen
    ]


def _succeeded(
    publishing: PublishingSystem, export: tuple[str, Lake], round_: int
) -> dict[str, Any]:
    """Wait for the end; meanwhile a reader finds the rows of this export or of the one before."""
    url, lake = export
    shown: dict[str, Any] = {}

    def ended() -> bool:
        found = lake.followed()
        assert found is None or found[1] in (rows_after(round_ - 1), rows_after(round_))
        shown.update(publishing.shown(url))
        return shown.get("finished_at") is not None

    eventually(ended)
    assert shown["status"] == "succeeded", shown
    assert lake.followed() == (shown["id"], rows_after(round_))
    manifest = publishing.client.get(f"{url}/manifest").json()
    assert objects(lake.url, lake.s3) == {
        *(each["path"] for each in manifest["files"]),
        f"_crivo/{shown['id']}.json",
        "_SUCCESS",
    }
    return shown


async def _require_nothing_left(environ: dict[str, str], *, files: int) -> None:
    settings = Settings(database_url=environ["DATABASE_URL"], blob_url=environ["BLOB_URL"])
    blobs = open_blobs(settings)
    async with open_pool(settings) as pool:
        await delete_orphans(pool, blobs, (EXPORT_OWNER,), min_age=timedelta(seconds=-60))
        rows = await pool.fetch("SELECT published, blob_key FROM export_files")
    # Those of the last export at each destination.
    assert [(row["published"], row["blob_key"]) for row in rows] == [(True, None)] * files
    assert blobs.folder is not None
    assert list(blobs.folder.glob("*/exports/*")) == []
