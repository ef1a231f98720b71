"""Make the first tasks of an export: one for all that is read, or one for each share of it."""

from collections.abc import Sequence

import msgspec

from app.exports.acceptance_store import NewTask
from app.exports.model import ExportStage
from app.exports.parts import ReadParts, buckets_of, shares, whole
from app.exports.task_inputs import MapInput, WholeInput
from app.limits import EXPORT_TASK_BYTES, MAX_WHOLE_EXPORT_BYTES


def first_tasks(
    parts: Sequence[ReadParts], *, for_engine: bool, is_whole: bool = False
) -> tuple[ExportStage, list[NewTask]]:
    """Return the first stage of an export and its tasks; `is_whole`: however much is read.

    `for_engine`: several workers can share them, which one task would not use.
    """
    raw_bytes = sum(each.raw_bytes for each in parts)
    largest = EXPORT_TASK_BYTES if for_engine else MAX_WHOLE_EXPORT_BYTES
    if not is_whole and raw_bytes > largest:
        return ExportStage.MAP, _maps(parts, buckets_of(raw_bytes))
    share = whole(parts)
    read = msgspec.json.encode(WholeInput(ranges=share.ranges))
    return ExportStage.WHOLE, [NewTask(input=read, raw_bytes=share.raw_bytes)]


def _maps(parts: Sequence[ReadParts], buckets: int) -> list[NewTask]:
    return [
        NewTask(
            input=msgspec.json.encode(MapInput(ranges=share.ranges, buckets=buckets)),
            raw_bytes=share.raw_bytes,
        )
        for share in shares(parts)
    ]
