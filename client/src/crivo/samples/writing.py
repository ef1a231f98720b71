"""Write a sample and its truth into a folder, which appears once it is complete."""

import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Final, TypeAlias

from faker import VERSION as FAKER_VERSION
from msgspec import Struct, json

from crivo.samples.events import EventSample, EventStream
from crivo.samples.truth import DIGEST, DIGEST_IN_DUCKDB, Partition
from crivo.version import __version__

OnProgress: TypeAlias = Callable[[int], None]

EVENTS: Final = "events"
TRUTH: Final = "truth.json"
_LINES_AT_ONCE: Final = 4096


class Truth(Struct, frozen=True, kw_only=True):
    """A sample, what was written, and what must be left of it, in `truth.json`.

    `versions` counts the lines that are another version of an event: with an `equal` time, of the
    `same_day`, of the `next_day`, or `overtaking` the version before. `late` counts the lines that
    arrive in the file of a later day.
    """

    sample: EventSample
    made_with: dict[str, str]
    files: int
    bytes: int
    lines: int
    keys: int
    versions: dict[str, int]
    late: int
    digest: str
    digest_in_duckdb: str
    partitions: list[Partition]


def write_events(
    sample: EventSample, folder: Path, *, on_progress: OnProgress | None = None
) -> Truth:
    """Write events into `events/`, a file for each day of arrival, and `truth.json` beside it.

    The folder must be absent or empty. An interruption leaves nothing. `on_progress` gets the
    number of lines that are written. Raises OSError.
    """
    with _appearing(folder) as staging:
        (staging / EVENTS).mkdir()
        stream = EventStream(sample)
        files = size = lines = 0
        for day, date in enumerate(sample.dates()):
            for written, written_bytes in _write_file(
                staging / EVENTS / f"{date}.jsonl", stream.lines(day)
            ):
                lines += written
                size += written_bytes
                if on_progress is not None:
                    on_progress(lines)
            files += (staging / EVENTS / f"{date}.jsonl").exists()
        late = stream.counts.pop("late", 0)
        truth = Truth(
            sample=sample,
            made_with={"crivo": __version__, "faker": FAKER_VERSION},
            files=files,
            bytes=size,
            lines=lines,
            keys=sample.keys,
            versions=dict(sorted(stream.counts.items())),
            late=late,
            digest=DIGEST,
            digest_in_duckdb=DIGEST_IN_DUCKDB,
            partitions=stream.survivors.partitions(),
        )
        (staging / TRUTH).write_bytes(json.format(json.encode(truth)) + b"\n")
    return truth


def _write_file(path: Path, lines: Iterator[str]) -> Iterator[tuple[int, int]]:
    """Write lines, and iterate over the numbers of lines and bytes. Without lines, no file."""
    batch = list(islice(lines, _LINES_AT_ONCE))
    if not batch:
        return
    with path.open("wb") as file:
        while batch:
            try:
                size = file.write("".join(batch).encode())
            except OSError as error:
                # That of a write names no file.
                raise OSError(error.errno, error.strerror, str(path)) from None
            yield len(batch), size
            batch = list(islice(lines, _LINES_AT_ONCE))


@contextmanager
def _appearing(folder: Path) -> Iterator[Path]:
    """Make a folder beside the final one, which it becomes once it is complete."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = folder.with_name(f".crivo-{secrets.token_hex(8)}.part")
    staging.mkdir()
    try:
        yield staging
        # Of an existing folder, only an empty one is replaced.
        if folder.is_dir():
            folder.rmdir()
        staging.rename(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
