"""Compare the files of an export with what `crivo sample events` says must be left.

    python examples/events/compare.py sample/truth.json lake

Exits with 1 if a partition has other rows.
"""

import json
import sys
from pathlib import Path
from typing import Any

import duckdb

# A text like `01` is a number to DuckDB, too; the types are those of the table.
READ = """
    SELECT year, month, day, domain, event_type, count(*), ({digest})::VARCHAR
    FROM read_parquet($files, hive_partitioning = true, hive_types = {{
        year: INTEGER, month: INTEGER, day: INTEGER, domain: VARCHAR, event_type: VARCHAR}})
    GROUP BY ALL
"""


def main(truth_file: str, folder: str) -> int:
    """Print what differs, and return the exit code."""
    truth: dict[str, Any] = json.loads(Path(truth_file).read_text(encoding="utf-8"))
    # What is unfinished or says what there is, is in folders with an underscore.
    files = [str(path) for path in Path(folder).glob("year=*/**/*.parquet")]
    sql = READ.format(digest=truth["digest_in_duckdb"])
    rows = duckdb.execute(sql, {"files": files}).fetchall() if files else []
    found = {row[:5]: row[5:] for row in rows}
    expected = {
        tuple(part[name] for name in ("year", "month", "day", "domain", "event_type")): (
            part["rows"],
            part["digest"],
        )
        for part in truth["partitions"]
    }
    different = [key for key in expected | found if expected.get(key) != found.get(key)]
    for key in sorted(different):
        print(*key, "expected", expected.get(key), "found", found.get(key))
    events = sum(rows for rows, _ in found.values())
    same = len(expected | found) - len(different)
    print(f"{events} events in {len(files)} files; {same} of {len(expected)} partitions are equal")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
