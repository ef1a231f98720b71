"""Define what an attempt of a task is given, and what it gives back."""

from collections.abc import Mapping, Sequence
from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from app.exports.model import ExportErrorKind
from app.exports.plan.model import (
    BucketTask,
    HeldFile,
    MapTask,
    Plan,
    Report,
    SourceFile,
    Task,
    TaskFailed,
    Whole,
    WriteTask,
    WrittenFile,
)


class BaseFile(Struct, frozen=True, kw_only=True):
    """A published file of the export that another continues.

    `blob_key` is None for one that is only at the destination.
    """

    partition: bytes
    name: str
    blob_key: str | None
    rows: int
    size_bytes: int
    sha256: bytes


def base_deleted() -> TaskFailed:
    """Return the failure of an export whose base has lost files since it was accepted."""
    message = (
        "files of the export that this one continues have been replaced or deleted; omit `since` "
        "to export everything"
    )
    return TaskFailed(ExportErrorKind.INPUT_DELETED, message)


class TaskInput(Struct, frozen=True, kw_only=True):
    """What a task does, by which plan.

    Each `local` is the key of a blob, or a path at the destination.

    `base` are the files of `Whole.base`, in the same order.
    """

    task: Task
    plan: Plan
    base: Sequence[BaseFile] = ()

    @property
    def at_destination(self) -> Mapping[str, BaseFile]:
        """The files of those `local` that are paths at the destination."""
        return {each.name: each for each in self.base if each.blob_key is None}


class UploadedFile(Struct, frozen=True, kw_only=True):
    """A file that a task has written, and the blob that it is now."""

    file: WrittenFile
    blob_key: str


class Outcome(Struct, frozen=True, kw_only=True):
    """What a task has done, uploaded: its own files, and those of the base that stay.

    `emptied` are partitions of the base that have no file any more, by their folders.
    """

    report: Report
    files: Sequence[UploadedFile]
    kept: Sequence[BaseFile] = ()
    emptied: Mapping[str, bytes] = {}


def places_of(task: Task) -> list[str]:
    """List each `local` of a task, once."""
    match task:
        case Whole(sources=sources, base=base):
            names = [each.local for each in sources] + [each.local for each in base]
        case MapTask(sources=sources):
            names = [each.local for each in sources]
        case BucketTask(held=held) | WriteTask(held=held):
            names = [each.local for each in held]
        case _:
            assert_never(task)
    return list(dict.fromkeys(names))


def localized(task: Task, paths: Mapping[str, str]) -> Task:
    """Return a task with paths of local files in the place of keys."""

    def sources(of: Sequence[SourceFile]) -> list[SourceFile]:
        return [replace(each, local=paths[each.local]) for each in of]

    def held(of: Sequence[HeldFile]) -> list[HeldFile]:
        return [replace(each, local=paths[each.local]) for each in of]

    match task:
        case Whole():
            return replace(task, sources=sources(task.sources), base=held(task.base))
        case MapTask():
            return replace(task, sources=sources(task.sources))
        case BucketTask() | WriteTask():
            return replace(task, held=held(task.held))
        case _:
            assert_never(task)
