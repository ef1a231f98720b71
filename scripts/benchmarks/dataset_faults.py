"""Name everything that a sent dataset has lost, doubled or changed, from what is left of it."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from msgspec import Struct

from scripts.benchmarks.dataset_files import SourceFile
from scripts.benchmarks.dataset_sender import PARALLEL, Answer, Sent

_SUCCESS: Final = (HTTPStatus.CREATED, HTTPStatus.OK)


class Kill(Struct, frozen=True, kw_only=True):
    """A kill, in seconds of the clock of the API's log."""

    victim: str
    at: float


class Evidence(Struct, frozen=True, kw_only=True):
    """What is left at the end.

    `sent` is the client's own report; `uploads` and `parts` are rows in the database; `wrong` is
    what differs in the files' bytes and in records by key.
    """

    kills: Sequence[Kill]
    sent: Sent
    answers: Sequence[Answer]
    uploads: int
    parts: int
    is_merged: bool
    snapshots: Sequence[Mapping[str, Any]]
    files: Sequence[Mapping[str, Any]]
    wrong: Sequence[str]


def find_faults(
    files: Sequence[SourceFile], evidence: Evidence, *, victims: Sequence[str]
) -> list[str]:
    """Return all faults; none if the dataset is its source, and was sent once."""
    return [
        *_faults_of_run(evidence, victims),
        *_faults_of_totals(files, evidence),
        *_faults_of_files(files, evidence),
        *evidence.wrong,
        *find_repeats(evidence.kills, evidence.answers),
    ]


def find_repeats(kills: Sequence[Kill], answers: Sequence[Answer]) -> list[str]:
    """Name parts that were sent although the service had acknowledged them.

    A request that is on its way at a kill may have added its part without an answer, or its answer
    may be lost; then the part is sent again. A client has `PARALLEL` such requests at most.
    """
    faults = []
    first: dict[str, Answer] = {}
    repeats = 0
    for answer in answers:
        if answer.status not in _SUCCESS:
            continue
        earlier = first.setdefault(answer.part, answer)
        if earlier is answer and answer.status == HTTPStatus.CREATED:
            continue
        repeats += 1
        if answer.status == HTTPStatus.CREATED:
            faults.append(f"{answer.part}: added twice")
        since = earlier.began if earlier is not answer else 0.0
        if not any(since <= each.at < answer.ended for each in kills):
            faults.append(f"{answer.part}: sent again, and nothing was killed meanwhile")
        if repeats > PARALLEL * sum(each.at < answer.ended for each in kills):
            faults.append(f"{answer.part}: sent again, and was not on its way at a kill")
    return faults


def count_repeats(answers: Sequence[Answer]) -> int:
    """Return how many parts arrived that the upload held."""
    return sum(each.status == HTTPStatus.OK for each in answers)


def _faults_of_run(evidence: Evidence, victims: Sequence[str]) -> Iterator[str]:
    killed = [each.victim for each in evidence.kills]
    if killed != list(victims):
        yield f"killed: only {killed}; the client had ended before"
    if not evidence.is_merged:
        yield "indexes: not merged"
    if evidence.uploads != 1:
        yield f"{evidence.uploads} uploads: a client has begun another"
    named = {each.part for each in evidence.answers if each.status in _SUCCESS}
    for what, parts in (
        ("the client has named", evidence.sent.parts),
        ("the files have", sum(each["parts"] for each in evidence.files)),
        ("the API has acknowledged", len(named)),
    ):
        if parts != evidence.parts:
            yield f"{what} {parts} parts, and {evidence.parts} are stored"


def _faults_of_totals(files: Sequence[SourceFile], evidence: Evidence) -> Iterator[str]:
    if [each["number"] for each in evidence.snapshots] != [1]:
        yield f"{len(evidence.snapshots)} snapshots"
    lines = sum(len(each.rows) for each in files)
    expected = {
        "files": len(files),
        "raw_bytes": sum(each.size for each in files),
        "lines": lines,
        "records": lines,
        "missing_keys": 0,
    }
    for snapshot in evidence.snapshots:
        yield from _differences(f"snapshot {snapshot['number']}", expected, snapshot)


def _faults_of_files(files: Sequence[SourceFile], evidence: Evidence) -> Iterator[str]:
    stored = {each["path"]: each for each in evidence.files}
    paths = Counter(each["path"] for each in evidence.files)
    yield from (f"{path}: {times} files" for path, times in paths.items() if times > 1)
    yield from (f"{path}: not sent" for path in paths.keys() - {each.path.name for each in files})
    for file in files:
        if file.path.name not in stored:
            yield f"{file.path.name}: lost"
            continue
        expected = {
            "raw_bytes": file.size,
            "lines": len(file.rows),
            "records": len(file.rows),
            "missing_keys": 0,
            "duplicates": 0,
        }
        yield from _differences(file.path.name, expected, stored[file.path.name])


def _differences(name: str, expected: Mapping[str, int], found: Mapping[str, Any]) -> Iterator[str]:
    for what, value in expected.items():
        if found[what] != value:
            yield f"{name}: {what} {found[what]} in place of {value}"
