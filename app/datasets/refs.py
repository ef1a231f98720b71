"""Parse what a request's address names: datasets, snapshots, paths of files, parts, uploads."""

import re
from typing import Final
from uuid import UUID

from msgspec import Struct

from app.datasets.problems import DatasetNotFound, UploadNotFound, upload_not_found
from app.errors import clipped, invalid, invalid_parameter
from app.limits import MAX_FILE_PARTS, MAX_PATH_BYTES
from app.references import NAME_PATTERN, Name, is_uuid
from app.wording import expected

_NUMBER: Final = re.compile(r"[1-9][0-9]{0,8}")
# A path is also the name of a local file for those who download it. Controls of direction show a
# name as another; a letter and a colon are a drive.
_FORBIDDEN: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\\\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_DRIVE: Final = re.compile(r"[A-Za-z]:")
# What file systems take.
_MAX_NAME_BYTES: Final = 255


class DatasetRef(Struct, frozen=True, kw_only=True):
    """A reference to a snapshot: `scores`, `scores@7`; None is the newest one."""

    name: str
    snapshot: int | None = None

    def __str__(self) -> str:
        """Return the reference as a client writes it."""
        return self.name if self.snapshot is None else f"{self.name}@{self.snapshot}"


def parse_name(text: str) -> str:
    """Parse the name of a dataset. Raises DatasetNotFound for any other text."""
    if re.match(NAME_PATTERN, text) is None:
        name, at, number = text.partition("@")
        if at and re.match(NAME_PATTERN, name):
            raise DatasetNotFound(
                f"{clipped(text)!r} names a snapshot, and this route takes a dataset, {name!r}; "
                f"GET /datasets/{name}/snapshots/{clipped(number)} returns the snapshot"
            )
        raise DatasetNotFound(f"{clipped(text)!r} cannot name a dataset; GET /datasets lists them")
    return text


def parse_new_name(text: str, *, pointer: str = "/dataset") -> str:
    """Parse a name for a dataset that may be new. Raises InvalidRequest."""
    if is_uuid(text):
        raise invalid(pointer, f"{clipped(text)!r} is an id, which cannot be a name")
    if re.match(NAME_PATTERN, text) is None:
        message = f"{clipped(text)!r} cannot name a dataset: {expected(Name)}"
        raise invalid(pointer, message)
    return text


def parse_ref(text: str, *, snapshot: int | None = None) -> DatasetRef:
    """Parse a reference; `snapshot` is that of the query.

    Raises DatasetNotFound, and InvalidRequest where address and query name different snapshots.
    """
    name, at, number = text.partition("@")
    if not at or number == "latest":
        return DatasetRef(name=parse_name(name), snapshot=snapshot)
    if _NUMBER.fullmatch(number) is None or re.match(NAME_PATTERN, name) is None:
        raise DatasetNotFound(
            f"{clipped(text)!r} is not a reference to a dataset, such as scores or scores@7"
        )
    if snapshot is not None and snapshot != int(number):
        raise invalid_parameter("snapshot", f"is {snapshot}, and the address has {number}")
    return DatasetRef(name=name, snapshot=int(number))


def parse_path(text: str) -> str:
    """Parse the path of a file: names between slashes, none of them `.` or `..` or a drive.

    Raises InvalidRequest.
    """
    if not text:
        raise invalid("/path", "is empty")
    if _FORBIDDEN.search(text):
        message = f"{clipped(text)!r} has a backslash or a control character"
        raise invalid("/path", message)
    if len(text.encode()) > MAX_PATH_BYTES:
        raise invalid("/path", f"has more than {MAX_PATH_BYTES} bytes")
    names = text.split("/")
    if any(name in ("", ".", "..") for name in names):
        raise invalid("/path", f"{clipped(text)!r} has an empty name, `.` or `..`")
    if any(len(name.encode()) > _MAX_NAME_BYTES for name in names):
        message = f"{clipped(text)!r} has a name of more than {_MAX_NAME_BYTES} bytes"
        raise invalid("/path", message)
    if _DRIVE.match(text):
        raise invalid("/path", f"{clipped(text)!r} begins with the letter of a drive")
    return text


def parse_part(text: str) -> tuple[str, int]:
    """Parse `<path>/parts/<number>` to a path and a number. Raises InvalidRequest."""
    path, parts, number = text.rpartition("/parts/")
    if not parts or _NUMBER.fullmatch(number) is None or int(number) > MAX_FILE_PARTS:
        raise invalid(
            "/part",
            f"{clipped(text)!r} is not <path>/parts/<number>, with a number from 1 to "
            f"{MAX_FILE_PARTS}",
        )
    return parse_path(path), int(number)


def parse_upload_id(text: str) -> UUID:
    """Parse the id of an upload. Raises UploadNotFound for any other text."""
    if not is_uuid(text):
        raise _not_an_id(text)
    return UUID(text)


def parse_snapshot(name: str, text: str) -> DatasetRef:
    """Parse a snapshot's number, or `latest`, to a reference. Raises DatasetNotFound."""
    return parse_ref(f"{parse_name(name)}@{text}")


def _not_an_id(text: str) -> UploadNotFound:
    return upload_not_found(text)
