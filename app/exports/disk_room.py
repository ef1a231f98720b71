"""Measure what an attempt of a task may write on this machine's disk."""

from collections.abc import Sequence
from pathlib import Path
from shutil import disk_usage
from typing import Final

from app.exports.plan.model import BucketTask, HeldFile, MapTask, Room, Task, Whole, WriteTask
from app.limits import MAX_DISK_RESERVE_BYTES, MIN_EXPORT_ROOM_BYTES
from app.outages import DiskFull

# Tables are written twice, and sorted in between; then come the files.
_BYTES_OF_A_READ_ONE: Final = 8
# What a byte of Parquet can stand for, but in files made for that.
_RAW_RATIO: Final = 16
# Of what is free, so that tasks that begin together have room together.
_SHARE: Final = 2
# Of a disk, what stays free for others.
_RESERVE_SHARE: Final = 20


def room_of(task: Task, folder: Path, *, raw_bytes: int, disk_bytes: int) -> Room:
    """Return the room of a task whose files are on this machine.

    `raw_bytes` are those of its lines, and `disk_bytes` is the setting. Raises DiskFull.
    """
    disk = disk_usage(folder)
    reserve = min(MAX_DISK_RESERVE_BYTES, disk.total // _RESERVE_SHARE)
    free = (disk.free - reserve) // _SHARE
    if free <= 0:
        raise DiskFull(reason=f"{folder} has less than {reserve} bytes free")
    wanted = disk_bytes or MIN_EXPORT_ROOM_BYTES + _BYTES_OF_A_READ_ONE * _read_bytes(
        task, raw_bytes
    )
    return Room(max_bytes=min(wanted, free), is_scarce=free < wanted, reserve_bytes=reserve)


def _read_bytes(task: Task, raw_bytes: int) -> int:
    match task:
        case Whole(base=base):
            return raw_bytes + _as_raw(base)
        case MapTask():
            return raw_bytes
        case BucketTask(held=held) | WriteTask(held=held):
            return _as_raw(held)


def _as_raw(held: Sequence[HeldFile]) -> int:
    return _RAW_RATIO * sum(Path(each.local).stat().st_size for each in held)
