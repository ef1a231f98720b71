"""Write rows as a folder of files, with all cores and in bounded memory."""

import os
import re
import statistics
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from scripts.benchmarks.dataset_rows import Rows

FILES: Final = 40
_UNITS: Final = {"KB": 10**3, "MB": 10**6, "GB": 10**9}
# About the bytes of a row with nothing more.
_SHORT_BYTES: Final = 34
# Rows that are in memory at once.
_CHUNK_ROWS: Final = 50_000


class SourceFile(Struct, frozen=True, kw_only=True):
    """A file with a range of rows, one a line."""

    path: Path
    rows: range
    size: int = 0


def parse_size(text: str) -> int:
    """Read a size such as `4.5GB`. Raises ValueError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([KMG]B)", text)
    if match is None:
        raise ValueError(f"{text!r} is no size such as 4.5GB or 60MB")
    return int(float(match[1]) * _UNITS[match[2]])


def rows_of_size(size: int, *, record_bytes: int) -> Rows:
    """Return about as many rows as have this size, each of `record_bytes` if that is more."""
    length = max(record_bytes, _SHORT_BYTES)
    count = size // length
    if record_bytes > _SHORT_BYTES:
        missing = record_bytes - _mean_bytes(Rows(count=count)) - len(b', "text": ""')
        return Rows(count=count, shuffled=True, more=b', "text": "%b"' % (b"x" * int(missing)))
    return Rows(count=int(size / _mean_bytes(Rows(count=count))), shuffled=True)


def _mean_bytes(rows: Rows) -> float:
    keys = range(0, rows.count, max(1, rows.count // 1_000))
    return statistics.fmean(len(rows.line(key)) + 1 for key in keys)


def write_files(folder: Path, rows: Rows) -> list[SourceFile]:
    """Write all rows, about as many to each file."""
    folder.mkdir()
    ends = [rows.count * number // FILES for number in range(FILES + 1)]
    files = [
        SourceFile(path=folder / f"{number:02}.jsonl", rows=range(*ends[number : number + 2]))
        for number in range(FILES)
    ]
    # A forked child would keep what this process has open.
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        return list(pool.map(_written, files, [rows] * FILES))


def _written(file: SourceFile, rows: Rows) -> SourceFile:
    size = 0
    with file.path.open("wb") as target:
        for start in range(file.rows.start, file.rows.stop, _CHUNK_ROWS):
            end = min(start + _CHUNK_ROWS, file.rows.stop)
            size += target.write(rows.lines(range(start, end)))
    return replace(file, size=size)
