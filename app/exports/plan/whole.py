"""Carry out an export in one task: lines to files of partitions."""

from pathlib import Path

from duckdb import DuckDBPyConnection

from app.exports.plan.loading import kept, load
from app.exports.plan.model import PartitionRows, Plan, Report, Resources, Whole
from app.exports.plan.ordering import sort
from app.exports.plan.progress import Meter
from app.exports.plan.survivors import find_losers
from app.exports.plan.writing import write_partitions


def run_whole(
    connection: DuckDBPyConnection,
    task: Whole,
    plan: Plan,
    resources: Resources,
    output: Path,
    meter: Meter,
) -> Report:
    """Write the files, and report them. Raises TaskFailed."""
    loaded = load(connection, task.sources, plan, resources, meter)
    with meter.step(0.1):
        duplicates = find_losers(connection, len(plan.key))
    with meter.step(0.25):
        partitions = sort(connection, kept(loaded.columns, plan), plan.partition_by)
    connection.execute("DROP VIEW rows; DROP TABLE losers; DROP TABLE exact; DROP TABLE staged")
    total = sum(partition.rows for partition in partitions)
    files = write_partitions(
        connection,
        partitions,
        plan.partition_by,
        output,
        file_bytes=plan.file_bytes,
        threads=resources.threads,
        on_rows=lambda written: meter.add(0.3 * written / total),
    )
    return Report(
        rows_in=loaded.rows_in,
        rows_out=total,
        duplicates=duplicates,
        bad_rows=len(loaded.bad),
        bad=loaded.bad,
        files=files,
        columns=loaded.columns,
        partitions=[PartitionRows(partition=each.values, rows=each.rows) for each in partitions],
        cpu_ms=0.0,
        peak_memory_bytes=0,
    )
