"""Name the folders of partitions as Hive does."""

from collections.abc import Sequence
from typing import Final

from app.exports.plan.model import PartitionColumn

DEFAULT_PARTITION: Final = "__HIVE_DEFAULT_PARTITION__"
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
