"""Decide to which destinations an export may write."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import Struct

from app.errors import CrivoError, invalid
from app.exports.plan.model import Grain, PartitionColumn
from app.limits import MAX_KEY_BYTES
from app.settings import Settings

_TENANT: Final = "{tenant}"
_FILE: Final = "file://"
# The name of a file with the digits of an id, and of a document with a whole one.
_FILE_NAME_BYTES: Final = len("/0123456789ab-2147483647.parquet")
_DOCUMENT_BYTES: Final = len("/_crivo/01234567-89ab-cdef-0123-456789abcdef.begun.json")
# Of a value: of a year, and of another part of a moment.
_LEAST: Final = {Grain.VALUE: 1, Grain.YEAR: 4}
_LEAST_OF_PART: Final = 2
# What every store and reader takes as it is: nothing is escaped, hidden or leads elsewhere.
_URL: Final = re.compile(
    r"(?P<root>s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]|file://)"
    r"(?P<path>(/(?![._])[A-Za-z0-9._=+@-]+)*)/?"
)
_RULES: Final = (
    "is no URL of a folder: s3://bucket/folder or file:///folder, whose names are made of letters, "
    "digits and ._=+@-, and do not begin with _ or ."
)


class DestinationsNotUsable(CrivoError):
    """A setting of exports cannot be in force here."""


class _Folder(Struct, frozen=True):
    """A folder by the names that lead to it; the first is that of the store."""

    names: tuple[str, ...]

    def is_within(self, other: "_Folder") -> bool:
        return self.names[: len(other.names)] == other.names


def require_usable_destinations(settings: Settings) -> None:
    """Check the setting as a process starts. Raises DestinationsNotUsable."""
    for pattern in _patterns(settings):
        if pattern.count(_TENANT) != 1 or _parse(pattern.replace(_TENANT, "tenant")) is None:
            raise DestinationsNotUsable(
                f"CRIVO_EXPORT_DESTINATIONS: {pattern!r} must have {_TENANT} once, and otherwise "
                f"{_RULES}"
            )


def require_allowed(settings: Settings, tenant_name: str, to: str) -> str:
    """Return the one spelling of a destination that a tenant may write to.

    Raises InvalidRequest.
    """
    pointer = "/to"
    patterns = list(_patterns(settings))
    if not patterns:
        raise invalid(pointer, "no destination is allowed here; omit it, and download the files")
    folder = _parse(to)
    if folder is None:
        raise invalid(pointer, _RULES)
    if allowed_root(settings, tenant_name, to) is None:
        allowed = ", ".join(each.replace(_TENANT, tenant_name) for each in patterns)
        raise invalid(pointer, f"is not below a folder of the tenant {tenant_name}: {allowed}")
    return "/".join(folder.names)


def folders_above(destination: str) -> list[str]:
    """Return the folders that a destination is in, in the spelling of destinations."""
    folder = _parse(destination)
    assert folder is not None  # noqa: S101 - it was allowed
    return ["/".join(folder.names[:length]) for length in range(1, len(folder.names))]


def max_folder_bytes(destination: str | None, levels: Sequence[PartitionColumn]) -> int | None:
    """Return the bytes that the folders of a partition may have in the keys of a destination.

    None: as many as they like. Raises InvalidRequest if no partition has room.
    """
    if destination is None or destination.startswith(_FILE):
        return None
    _, _, prefix = destination.removeprefix("s3://").partition("/")
    room = MAX_KEY_BYTES - len(prefix)
    least = sum(len(f"/{each.name}=") + _LEAST.get(each.grain, _LEAST_OF_PART) for each in levels)
    needed = max(least + _FILE_NAME_BYTES, _DOCUMENT_BYTES)
    if needed > room:
        raise invalid(
            "/to",
            f"has {len(prefix)} bytes, and the export would add at least {needed} for folders and "
            f"names of files, but a key of a bucket has {MAX_KEY_BYTES} at most",
        )
    return room - _FILE_NAME_BYTES - 1


def allowed_root(settings: Settings, tenant_name: str, destination: str) -> str | None:
    """Return what must be there for a destination: the operator's part of its URL.

    None: the tenant may not write to it.
    """
    folder = _parse(destination)
    for pattern in _patterns(settings):
        allowed = _parse(pattern.replace(_TENANT, tenant_name))
        if folder is not None and allowed is not None and folder.is_within(allowed):
            return pattern.partition(_TENANT)[0].rpartition("/")[0]
    return None


def _patterns(settings: Settings) -> Iterator[str]:
    yield from (each.strip() for each in settings.export_destinations.split(",") if each.strip())


def _parse(url: str) -> _Folder | None:
    found = _URL.fullmatch(url)
    if found is None:
        return None
    names = found["path"].split("/")[1:]
    # The root of all file systems is no destination.
    return None if found["root"] == _FILE and not names else _Folder((found["root"], *names))
