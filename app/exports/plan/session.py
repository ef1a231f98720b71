"""Open DuckDB for a task: within its memory, its folders, and nothing else."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from shutil import disk_usage
from typing import Final

import duckdb
from duckdb import DuckDBPyConnection

from app.exports.plan.model import Resources
from app.exports.plan.places import is_zstd
from app.limits import EXPORT_THREAD_BYTES, MIB
from app.schemas.ddl.duckdb import literal

# Interpreter, libraries and what DuckDB does not count, at least; of larger limits a share.
_RESERVE_BYTES: Final = 96 * MIB
_RESERVE_SHARE: Final = 0.12
_MIN_BYTES: Final = 64 * MIB
# They take a third of a task's time.
_SLOW_METHODS: Final = "'fsst,dict_fsst,zstd'"
# Tables are written twice, and sorted in between; stored lines are compressed.
_SPILL_RATIO: Final = 4
_RAW_RATIO: Final = 6


@contextmanager
def open_session(
    resources: Resources, *, files: Sequence[str], output: Path
) -> Iterator[DuckDBPyConnection]:
    """Open a database in the spill folder, which reads `files` and writes `output`."""
    spill = Path(resources.spill)
    reserve = max(_RESERVE_BYTES, int(resources.memory_bytes * _RESERVE_SHARE))
    limit = max(resources.memory_bytes - reserve, _MIN_BYTES)
    connection = duckdb.connect(str(spill / "task.duckdb"))
    try:
        if resources.room is not None:
            connection.execute(f"SET max_temp_directory_size = '{resources.room.max_bytes}B'")
        for setting, value in {
            "memory_limit": f"'{limit}B'",
            "threads": str(threads_of(resources)),
            "temp_directory": literal(str(spill / "temp")),
            "home_directory": literal(str(spill)),
            "TimeZone": "'UTC'",
            "preserve_insertion_order": "true",
            "fsync_mode": "'NONE'",
            "checkpoint_threshold": "'1TB'",
            "disabled_compression_methods": "''" if _is_scarce(resources, files) else _SLOW_METHODS,
            "enable_progress_bar": "true",
            "enable_progress_bar_print": "false",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "allowed_directories": _list((f"{spill}/", f"{output}/")),
            "allowed_paths": _list(files),
            "enable_external_access": "false",
            "lock_configuration": "true",
        }.items():
            connection.execute(f"SET {setting} = {value}")
        yield connection
    finally:
        connection.close()


def threads_of(resources: Resources) -> int:
    """Return how many threads have the memory that each needs."""
    return max(1, min(resources.threads, resources.memory_bytes // EXPORT_THREAD_BYTES))


def _is_scarce(resources: Resources, files: Sequence[str]) -> bool:
    """Return whether tables need compression to have room."""
    raw = sum(Path(file).stat().st_size * (_RAW_RATIO if is_zstd(file) else 1) for file in files)
    room = resources.room
    free = disk_usage(resources.spill).free if room is None else room.max_bytes
    return free < raw * _SPILL_RATIO


def _list(texts: Sequence[str]) -> str:
    return f"[{', '.join(map(literal, texts))}]"
