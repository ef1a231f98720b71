"""Name the folders of partitions as Hive does, and bound their paths."""

from collections.abc import Iterable, Sequence
from typing import Final

from app.errors import clipped
from app.exports.plan.model import DEFAULT_PARTITION, PartitionColumn, Plan, TaskFailed
from app.limits import MAX_KEY_BYTES

MAX_FOLDER_BYTES: Final = 255
"""Of a name: what file systems take."""

# FileUtils.charToEscape of Hive: https://github.com/apache/hive, common/.../FileUtils.java
_ESCAPED: Final = {
    ord(c): f"%{ord(c):02X}" for c in (*map(chr, range(1, 0x20)), *"\"#%'*/:=?\\\x7f{[]^")
}
# Not in Hive's list, as no file system and no catalog takes it.
_NUL: Final = {0: "%00"}
_TABLE: Final = _ESCAPED | _NUL


def escape(value: str | None) -> str:
    """Return a value, or a name, as it is in a folder; None and empty are the default partition."""
    return value.translate(_TABLE) if value else DEFAULT_PARTITION


def folder(name: str, value: str | None) -> str:
    """Return the folder of one level."""
    return f"{escape(name)}={escape(value)}"


def folders(columns: Sequence[PartitionColumn], partition: Sequence[str | None]) -> str:
    """Return the path of a partition, empty without columns."""
    return "/".join(
        folder(column.name, value) for column, value in zip(columns, partition, strict=True)
    )


def require_short_folders(partitions: Iterable[Sequence[str | None]], plan: Plan) -> None:
    """Refuse partitions whose files the destination has no room for in a key. Raises TaskFailed."""
    if plan.max_folder_bytes is None:
        return
    for values in partitions:
        path = folders(plan.partition_by, values)
        if len(path.encode()) > plan.max_folder_bytes:
            message = (
                f"the key of a file in {clipped(path)} would be longer than the {MAX_KEY_BYTES} "
                "bytes that a bucket takes"
            )
            raise TaskFailed("destination_refused", message)
