"""Reads of an export are divided among its tasks in order, each file in few pieces."""

from uuid import UUID, uuid4

from app.exports.parts import ReadParts, buckets_of, shares, whole
from app.limits import EXPORT_BUCKET_BYTES, MAX_EXPORT_BUCKETS, MIB

A, B = uuid4(), uuid4()


def _parts(file_id: UUID, count: int, *, raw_bytes: int) -> list[ReadParts]:
    return [
        ReadParts(
            file_id=file_id,
            path=str(file_id),
            first_part=4 * number + 1,
            last_part=4 * number + 4,
            first_line=100 * number,
            raw_bytes=raw_bytes,
        )
        for number in range(count)
    ]


def test_one_task_reads_each_file_in_one_piece() -> None:
    share = whole([*_parts(A, 3, raw_bytes=32 * MIB), *_parts(B, 1, raw_bytes=5)])

    assert share.raw_bytes == 96 * MIB + 5
    assert [(each.file_id, each.first_part, each.last_part) for each in share.ranges] == [
        (A, 1, 12),
        (B, 1, 4),
    ]


def test_several_tasks_read_consecutive_parts_and_know_their_first_line() -> None:
    found = shares([*_parts(A, 9, raw_bytes=32 * MIB), *_parts(B, 2, raw_bytes=32 * MIB)])

    assert [each.raw_bytes // MIB for each in found] == [256, 96]
    assert [
        (each.file_id, each.first_part, each.last_part, each.first_line)
        for share in found
        for each in share.ranges
    ] == [(A, 1, 32, 0), (A, 33, 36, 800), (B, 1, 8, 0)]


def test_a_part_that_is_larger_than_a_task_has_one_of_its_own() -> None:
    found = shares(_parts(A, 2, raw_bytes=300 * MIB))

    assert [len(each.ranges) for each in found] == [1, 1]
    assert shares([]) == []


def test_buckets_grow_with_the_input_up_to_a_limit() -> None:
    assert [
        buckets_of(each) for each in (0, EXPORT_BUCKET_BYTES + 1, 10**6 * EXPORT_BUCKET_BYTES)
    ] == [1, 2, MAX_EXPORT_BUCKETS]
