"""Put the files of an export into a local folder, all of them or none."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final

from msgspec import DecodeError, ValidationError, json

from crivo.errors import ExportDamaged, UnexpectedResponse
from crivo.export_lock import OWN, LockedFolder
from crivo.export_models import Manifest, ManifestFile
from crivo.saving import replacing

SUCCESS: Final = "_SUCCESS"
# What begins with it and is no name of a Parquet file, no pattern finds either.
_STAGING: Final = "staging"


class ExportFolder:
    """A folder that takes the files of an export, below `year=…/month=…` as in the manifest.

    They arrive in `_crivo/staging`. Then `_SUCCESS` is removed, they are moved, what only earlier
    exports there had is deleted, and `_SUCCESS` is written. What stops in between is completed
    when it begins again. Only files that a manifest in `_crivo` names are ever deleted.
    """

    def __init__(self, folder: Path | str | LockedFolder, manifest: Manifest) -> None:
        """Check the list of files, and their paths. Raises UnexpectedResponse."""
        _require_all_files(manifest)
        self._given = folder
        self._folder = folder.path if isinstance(folder, LockedFolder) else Path(folder)
        self._own = self._folder / OWN
        self._staging = self._own / _STAGING
        self._manifest = manifest
        self._files = {self._target(each.path): each for each in manifest.files}
        self._earlier: set[Path] = set()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes out. Raises ExportInProgress, ExportDamaged, OSError."""
        is_locked = isinstance(self._given, LockedFolder)
        with nullcontext() if is_locked else LockedFolder(self._folder):
            self._staging.mkdir(exist_ok=True)
            self._earlier = self._read_earlier()
            yield

    def missing(self) -> list[ManifestFile]:
        """List the files that are neither there nor staged, and drop what is staged in vain."""
        wanted = set(map(self._staged, self._manifest.files))
        for path in self._staging.iterdir():
            if path not in wanted:
                path.unlink()
        return [
            each
            for target, each in self._files.items()
            if not _is_content(target, each) and not _is_content(self._staged(each), each)
        ]

    @contextmanager
    def staging(self, file: ManifestFile) -> Iterator["CheckedFile"]:
        """Open the place that a file is downloaded to. Raises ExportDamaged, OSError."""
        staged = self._staged(file)
        with replacing(staged) as opened:
            checked = CheckedFile(opened)
            yield checked
            opened.flush()
            os.fsync(opened.fileno())
            if checked.sha256 != file.sha256:
                raise ExportDamaged(f"{file.path} has arrived with another sha256; try again")

    def publish(self) -> None:
        """Move the files to their places, and delete what is old. Raises OSError."""
        name = f"{self._manifest.export}.json"
        content = json.format(json.encode(self._manifest)) + b"\n"
        # Named before they are moved: whoever goes on after a crash knows them.
        with replacing(self._own / f"{name}.begun") as begun:
            begun.write(content)
        (self._folder / SUCCESS).unlink(missing_ok=True)
        for target, file in self._files.items():
            staged = self._staged(file)
            if staged.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                staged.replace(target)
        (self._own / f"{name}.begun").replace(self._own / name)
        for target in self._earlier - self._files.keys():
            self._delete(target)
        for path in self._manifests():
            if path.name != name:
                path.unlink()
        with replacing(self._folder / SUCCESS) as success:
            success.write(f"{OWN}/{name}\n".encode())
        for path in self._staging.iterdir():
            path.unlink()
        self._staging.rmdir()

    def _read_earlier(self) -> set[Path]:
        """Find the files that earlier exports have put here."""
        found: set[Path] = set()
        for path in self._manifests():
            try:
                manifest = json.decode(path.read_bytes(), type=Manifest)
                found |= {self._target(each.path) for each in manifest.files}
            except (DecodeError, ValidationError, UnexpectedResponse):
                raise ExportDamaged(
                    f"{path} is no manifest; name another folder, or delete this one"
                ) from None
        return found

    def _manifests(self) -> list[Path]:
        return manifests_in(self._folder)

    def _delete(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        for folder in path.parents:
            if folder == self._folder or not folder.is_dir() or any(folder.iterdir()):
                return
            folder.rmdir()

    def _staged(self, file: ManifestFile) -> Path:
        # Files of two partitions may be equal.
        name = hashlib.sha256(f"{file.sha256} {file.path}".encode())
        return self._staging / name.hexdigest()

    def _target(self, path: str) -> Path:
        """Return where a file belongs. Raises UnexpectedResponse for what leads elsewhere."""
        parts = PurePosixPath(path).parts
        leads_out = path.startswith("/") or ".." in parts or "\\" in path or ":" in path
        if leads_out or not parts or parts[0] in {OWN, SUCCESS}:
            raise UnexpectedResponse(f"the service names a file {path!r}", status=200)
        return self._folder.joinpath(*parts)


def manifests_in(folder: Path) -> list[Path]:
    """List the manifests of the exports in a folder, and of one that is being moved to it."""
    own = folder / OWN
    return [*own.glob("*.json"), *own.glob("*.json.begun")]


class CheckedFile:
    """A file that is hashed while it is written."""

    def __init__(self, file: BinaryIO) -> None:
        """Begin with nothing."""
        self._file = file
        self._hash = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """The digest of what has been written."""
        return self._hash.hexdigest()

    def write(self, chunk: bytes) -> int:
        """Write a chunk; return its size."""
        self._hash.update(chunk)
        return self._file.write(chunk)


def _require_all_files(manifest: Manifest) -> None:
    """Refuse a list of other files than the export has: others would be deleted for it."""
    digest = hashlib.sha256()
    for each in sorted(manifest.files, key=lambda each: each.path):
        digest.update(each.path.encode() + b"\x00" + bytes.fromhex(each.sha256))
    if digest.hexdigest() != manifest.output_sha256:
        message = f"the manifest of export {manifest.export} does not list the files that it has"
        raise UnexpectedResponse(message, status=200)


def _is_content(path: Path, file: ManifestFile) -> bool:
    """Whether a file has the bytes that a manifest names."""
    try:
        with path.open("rb") as opened:
            if os.fstat(opened.fileno()).st_size != file.bytes:
                return False
            digest = hashlib.file_digest(opened, "sha256")
    except (FileNotFoundError, NotADirectoryError):
        return False
    return digest.hexdigest() == file.sha256
