"""Carry out an export in one task: lines to files of partitions."""

from collections.abc import Sequence, Set as AbstractSet
from pathlib import Path

from duckdb import DuckDBPyConnection

from app.exports.plan.layout import require_few_partitions
from app.exports.plan.loading import load
from app.exports.plan.model import HeldFile, Plan, Report, Resources, Whole
from app.exports.plan.older import known_columns, older_nulls, older_rows, take_older
from app.exports.plan.ordering import Partition, kept, sort_typed, typed
from app.exports.plan.progress import Meter
from app.exports.plan.session import threads_of
from app.exports.plan.survivors import find_losers, ranked
from app.exports.plan.writing import counts, form_of, write_partitions


def run_whole(
    connection: DuckDBPyConnection,
    task: Whole,
    plan: Plan,
    resources: Resources,
    output: Path,
    meter: Meter,
) -> Report:
    """Write the files, and report them. Raises TaskFailed."""
    known = known_columns(connection, task.base)
    loaded = load(connection, task.sources, plan, resources, meter, known=known)
    columns = kept(loaded.columns, plan)
    with meter.step(0.1):
        connection.execute(f"CREATE VIEW ranked AS {ranked('rows', len(plan.key))}")
        duplicates = find_losers(connection, len(plan.key))
    source, replaced = typed(columns, plan), []
    nulls_before: Sequence[int] = [0] * len(columns)
    if task.base:
        spill = Path(resources.spill)
        replaced = take_older(connection, task.base, columns, plan, spill)
        nulls_before = older_nulls(connection, columns)
        source += f" UNION ALL {older_rows(columns, plan)}"
        both = f"{ranked('rows', len(plan.key))} UNION ALL {ranked('older', len(plan.key))}"
        connection.execute(f"DROP TABLE losers; CREATE OR REPLACE VIEW ranked AS {both}")
        duplicates = find_losers(connection, len(plan.key))
    connection.execute(f"CREATE VIEW typed AS {source}")
    with meter.step(0.25):
        survivors = "typed ANTI JOIN losers USING (ordinal)"
        partitions = sort_typed(connection, survivors, columns, plan)
    _require_few_in_all(partitions, task.base, set(replaced))
    connection.execute(
        "DROP VIEW typed; DROP VIEW ranked; DROP VIEW rows; DROP TABLE losers; DROP TABLE exact;"
        " DROP TABLE staged; DROP TABLE IF EXISTS older; DROP TABLE IF EXISTS base"
    )
    total = sum(partition.rows for partition in partitions)
    done = write_partitions(
        connection,
        partitions,
        form_of(columns, loaded.columns, plan.partition_by, output),
        file_bytes=plan.file_bytes,
        threads=threads_of(resources),
        on_rows=lambda written: meter.add(0.3 * written / total),
    )
    return Report(
        rows_in=loaded.rows_in,
        rows_out=total,
        duplicates=duplicates,
        bad_rows=loaded.bad_rows,
        bad=loaded.bad,
        files=done.files,
        columns=[column for _, column in columns],
        partitions=counts(partitions),
        replaced=replaced,
        nulls=[now - before for now, before in zip(done.nulls, nulls_before, strict=True)],
        cpu_ms=0.0,
        peak_memory_bytes=0,
    )


def _require_few_in_all(
    written: Sequence[Partition], base: Sequence[HeldFile], replaced: AbstractSet[int]
) -> None:
    """Refuse more partitions than an export may have, with those that stay. Raises TaskFailed."""
    stay = {tuple(held.partition) for n, held in enumerate(base) if n not in replaced}
    require_few_partitions(len(stay.union(each.values for each in written)))
