"""Keep on disk which upload a directory is sent to, so that another run goes on with it.

A journal is a file of JSON lines, each on disk before the next step. What is behind its last
complete line was cut off by a crash, and is removed.
"""

import hashlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Final, Self, TypeAlias
from uuid import UUID

from msgspec import DecodeError, Struct, ValidationError, json

from crivo.errors import SendInProgress
from crivo.folders import FileState, SourceFile
from crivo.locking import open_locked


class _Began(Struct, frozen=True, kw_only=True, tag="began"):
    """An upload takes the parts from here on; the rest is for a reader."""

    upload: UUID
    dataset: str
    source: str


class _Published(Struct, frozen=True, kw_only=True, tag="published"):
    """The upload was committed with these files."""

    snapshot: int
    files: dict[str, FileState]


_Line: TypeAlias = _Began | _Published
_DECODER: Final = json.Decoder(_Line)


class Journal:
    """The journal of one directory and dataset; only one process has it open.

    `upload` is the one that has not been committed yet, and `published` the files that were.
    """

    def __init__(self, path: Path) -> None:
        """Open it, and read what an earlier run has left. Raises SendInProgress, OSError."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path = path
        self._file = self._open_locked()
        try:
            self.upload: UUID | None = None
            self.published: dict[str, FileState] = {}
            self._read()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        """Return the journal."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self._file.close()

    def begin(self, upload: UUID, *, dataset: str, source: Path) -> None:
        """Remember an upload that has begun."""
        self.upload = upload
        self._append(_Began(upload=upload, dataset=dataset, source=str(source.resolve())))

    def end(self, snapshot: int, files: Sequence[SourceFile], *, remember: bool) -> None:
        """Note that an upload is committed; without files to remember, the journal is deleted."""
        states = {each.name: each.state for each in files}
        if remember or self.published:
            self.upload = None
            self.published |= states
            self._append(_Published(snapshot=snapshot, files=states))
        else:
            self._path.unlink(missing_ok=True)

    def _open_locked(self) -> BinaryIO:
        try:
            return open_locked(self._path, mode=0o600)
        except BlockingIOError:
            raise SendInProgress(
                f"another process sends this to the same dataset; it has locked {self._path}"
            ) from None

    def _read(self) -> None:
        whole = 0
        for line in self._file.read().splitlines(keepends=True):
            try:
                entry = _DECODER.decode(line)
            except (DecodeError, ValidationError):
                break
            if not line.endswith(b"\n"):
                break
            whole += len(line)
            self._take(entry)
        self._file.truncate(whole)
        self._file.seek(whole)

    def _take(self, entry: _Line) -> None:
        match entry:
            case _Began():
                self.upload = entry.upload
            case _Published():
                self.upload = None
                self.published |= entry.files

    def _append(self, entry: _Line) -> None:
        whole = self._file.tell()
        left = memoryview(json.encode(entry) + b"\n")
        try:
            # A disk that fills takes a part of a line first.
            while left:
                left = left[self._file.write(left) :]
            os.fsync(self._file.fileno())
        except OSError:
            # The next line must not follow half of this one.
            self._file.truncate(whole)
            self._file.seek(whole)
            raise
        _sync_folder(self._path.parent)


def journal_path(folder: Path | None, *, url: str, dataset: UUID, source: Path) -> Path:
    """Return the path of a journal, by default below XDG_STATE_HOME.

    It is named for the service, the dataset and the absolute path of what is sent.
    """
    name = hashlib.sha256(f"{url}\n{dataset}\n{source.resolve()}".encode(errors="surrogateescape"))
    return (folder or _state_folder()) / f"{name.hexdigest()[:32]}.jsonl"


def _state_folder() -> Path:
    folder = os.environ.get("XDG_STATE_HOME", "")
    return (Path(folder) if folder else Path.home() / ".local" / "state") / "crivo" / "sends"


def _sync_folder(folder: Path) -> None:
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
