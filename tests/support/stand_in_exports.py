"""A stand-in for the service's exports, which have the files that a test says."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import UUID

import uuid_utils.compat as uuid
from msgspec import Raw, json

from crivo.dataset_models import Dataset, Snapshot
from crivo.export_models import (
    BadRowError,
    BadRowInfo,
    Export,
    ExportColumnInfo,
    ExportFile,
    ExportPartition,
    ExportProgress,
    Manifest,
    ManifestFile,
    QueuedExport,
)
from crivo.models import ScriptVersionRef
from crivo.run_models import SnapshotRef
from crivo.script_models import LimitChoice, Script, Version
from tests.support.faulty_server import FaultyServer, Scripted, Seen

RECORD: Final = (
    b'{"event_id":"1","timestamp":"2021-01-14T00:00:00Z","domain":"a","event_type":"b",'
    b'"data":{"id":"2"}}'
)
_TYPES: Final = {"year": "int", "month": "int", "day": "int"}
_NOW: Final = datetime(2021, 2, 1, tzinfo=UTC)


class StandInExports(FaultyServer):
    """Answers as the service does about exports that have succeeded; it can be made to fail."""

    def __init__(self) -> None:
        super().__init__(None, tls=None, discard_bodies=False, refuse_keys=False)
        self.exports: dict[str, dict[str, bytes]] = {}
        # The next exports that are asked for, and what was asked.
        self.files: dict[str, bytes] = {}
        self.asked: list[Any] = []
        self._requests: dict[str, Any] = {}
        # All datasets have it; a later one is that of a dataset that was created again.
        self.dataset_id = uuid.uuid7()
        self.newest_snapshot = 4
        # What references to scripts without a number stand for; each export keeps its own.
        self.script_version = 1
        self._scripts: dict[str, ScriptVersionRef] = {}
        # A file that no manifest lists.
        self.leaves_out: str | None = None

    def add(self, files: dict[str, bytes], request: dict[str, Any] | None = None) -> str:
        """Add an export, by default of `events@4`, and return its id."""
        export = str(uuid.uuid7())
        self.exports[export] = files
        self._requests[export] = request or {"dataset": "events"}
        if script := self._requests[export].get("script"):
            found = self._script(script)
            assert found.version is not None
            self._scripts[export] = ScriptVersionRef(
                id=found.id, name=found.name, version=found.version.version, sha256="0" * 64
            )
        return export

    def downloads(self) -> list[str]:
        """The paths of the files that were asked for, in their order."""
        paths = [urlsplit(each.path).path.partition("/files/")[2] for each in self.seen]
        return [unquote(each) for each in paths if each]

    def forward(self, request: Seen) -> Scripted:
        path = urlsplit(request.path).path
        match [unquote(each) for each in path.strip("/").split("/")]:
            case ["datasets" | "scripts" as collection, reference, *part]:
                answer = self._named(collection, reference, part)
            case ["exports"] if request.method == "POST":
                answer = self._create(request)
            case ["exports"]:
                answer = self._list(request)
            case ["exports", export] | ["exports", export, "cancel"] if export in self.exports:
                answer = _answer(self._export(export))
            case ["exports", export, "manifest"]:
                answer = _answer(self._manifest(export))
            case ["exports", export, "files"]:
                answer = _page([_file(export, *each) for each in self.exports[export].items()])
            case ["exports", export, "files", *parts]:
                answer = Scripted(body=self.exports[export]["/".join(parts)])
            case ["exports", _, "errors"]:
                error = BadRowError(kind="bad_timestamp", message="no time", pointer="/timestamp")
                row = BadRowInfo(path="a.jsonl", line=7, error=error, excerpt='{"timestamp":1}')
                answer = _page([row])
            case ["exports", _, "ddl"]:
                answer = Scripted(body=b"CREATE EXTERNAL TABLE events (x STRING);\n")
            case _:
                answer = Scripted(status=404)
        return answer

    def _named(self, collection: str, reference: str, part: list[str]) -> Scripted:
        if collection == "scripts":
            return _answer(self._script(reference))
        return Scripted(body=RECORD + b"\n") if part else self._dataset(reference)

    def _create(self, request: Seen) -> Scripted:
        self.asked.append(json.decode(request.body))
        export = self.add(self.files, self.asked[-1])
        queued = QueuedExport(id=UUID(export), status="queued", url=f"/exports/{export}")
        return _answer(queued, status=202)

    def _list(self, request: Seen) -> Scripted:
        wanted = parse_qs(urlsplit(request.path).query).get("dataset")
        found = [self._export(each) for each in reversed(self.exports)]
        return _page([each for each in found if wanted in (None, [each.input.dataset])])

    def _export(self, export: str) -> Export:
        files = self.exports[export]
        folders = sorted({each.rpartition("/")[0] for each in files})
        return Export(
            id=UUID(export),
            status="succeeded",
            input=self._input(export),
            since=None,
            request=Raw(json.encode(self._requests[export])),
            labels={},
            created_at=_NOW,
            started_at=_NOW,
            finished_at=_NOW,
            progress=ExportProgress(stage="publish", tasks=1, tasks_done=1, bytes=9, bytes_done=9),
            trouble=None,
            trouble_since=None,
            rows_in=5,
            duplicates=2,
            rows_failed=1,
            rows_dropped=0,
            script_rows_failed=0,
            script=self._scripts.get(export),
            rows_out=2,
            files=len(files),
            bytes=sum(map(len, files.values())),
            errors_url=f"/exports/{export}/errors",
            files_url=f"/exports/{export}/files",
            columns=[
                ExportColumnInfo(name="event_id", type="string", source="inferred", json=False)
            ],
            partitions=[ExportPartition(path=each, rows=1, files=1, bytes=3) for each in folders],
        )

    def _input(self, export: str) -> SnapshotRef:
        name, _, snapshot = self._requests[export]["dataset"].partition("@")
        return SnapshotRef(dataset=name, snapshot=int(snapshot or self.newest_snapshot))

    def _dataset(self, reference: str) -> Scripted:
        name, _, number = reference.partition("@")
        snapshot = Snapshot(
            number=int(number or self.newest_snapshot),
            mode="append",
            files=1,
            raw_bytes=9,
            stored_bytes=9,
            lines=1,
            records=1,
            missing_keys=0,
            created_at=_NOW,
        )
        dataset = Dataset(
            id=self.dataset_id,
            name=name,
            format="jsonl",
            key=None,
            description="",
            keep_snapshots=None,
            keep_days=None,
            created_at=_NOW,
            updated_at=_NOW,
            latest_snapshot=snapshot,
            snapshot=snapshot if number else None,
        )
        return _answer(dataset)

    def _script(self, reference: str) -> Script:
        name, _, selector = reference.partition("@")
        version = Version(
            version=int(selector) if selector.isdecimal() else self.script_version,
            sha256="0" * 64,
            size_bytes=1,
            limits=LimitChoice(),
            note="",
            created_at=_NOW,
        )
        return Script(
            id=self.dataset_id,
            name=name,
            description="",
            created_at=_NOW,
            updated_at=_NOW,
            archived_at=None,
            latest_version=version,
            version=version,
        )

    def _manifest(self, export: str) -> Manifest:
        first = min(self.exports[export], default="").split("/")[:-1]
        levels = [each.partition("=")[0] for each in first]
        listed = self.exports[export]
        if self.leaves_out is not None:
            listed = {path: each for path, each in listed.items() if path != self.leaves_out}
        return Manifest(
            export=UUID(export),
            format="parquet",
            input=self._input(export),
            input_sha256="0" * 64,
            output_sha256=_output_sha256(self.exports[export]),
            rows_in=5,
            duplicates=2,
            rows_failed=1,
            rows_out=2,
            columns=[
                ExportColumnInfo(
                    name=level, type=_TYPES.get(level, "string"), source="partition", json=False
                )
                for level in levels
            ],
            partition_by=levels,
            files=[
                ManifestFile(path=path, rows=1, bytes=len(content), sha256=_sha256(content))
                for path, content in listed.items()
            ],
        )


@contextmanager
def stand_in_exports() -> Iterator[StandInExports]:
    """Run a stand-in."""
    server = StandInExports()
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _file(export: str, path: str, content: bytes) -> ExportFile:
    return ExportFile(
        path=path,
        partition=path.rpartition("/")[0],
        rows=1,
        bytes=len(content),
        sha256=_sha256(content),
        url=f"/exports/{export}/files/{path}",
    )


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _output_sha256(files: dict[str, bytes]) -> str:
    digest = hashlib.sha256()
    for path, content in sorted(files.items()):
        digest.update(path.encode() + b"\x00" + hashlib.sha256(content).digest())
    return digest.hexdigest()


def _page(items: list[Any]) -> Scripted:
    return _answer({"items": items, "next_cursor": None})


def _answer(document: object, *, status: int = 200) -> Scripted:
    return Scripted(
        status=status,
        headers={"Content-Type": "application/json"},
        body=json.encode(document),
    )
