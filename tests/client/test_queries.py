"""`crivo query` reads datasets of the service, exports of a stand-in for it, and nothing else."""

import csv
import json
import signal
import time
from pathlib import Path
from typing import Final
from uuid import uuid4

import duckdb
import psutil
import pytest

from crivo import Crivo
from crivo.cli.exit_codes import ExitCode
from tests.support.crivo_command import CrivoCommand
from tests.support.stand_in_exports import stand_in_exports

FIRST: Final = (
    b'{"id":"a","amount":9007199254740993,"huge":12345678901234567890123456789,"rate":0.1,'
    b'"time":"2021-01-14T00:00:04.240Z","data":{"n":1}}\n'
    b'{"id":"b","amount":1,"huge":1,"rate":2,"time":"2021-01-15T01:00:00+02:00","data":{"s":"x"}}\n'
)
SECOND: Final = b'{"id":"c","amount":5,"later":"01-02-2021","data":null}\n'


def over(dataset: str, sql: str) -> str:
    """The SQL with a dataset's name for `events`."""
    return sql.replace("events", dataset)


@pytest.fixture
def events(client: Crivo, tmp_path: Path) -> str:
    """A dataset with two snapshots; the second adds a file."""
    name = f"events-{uuid4().hex[:8]}"
    folder = tmp_path / "events"
    folder.mkdir()
    for file, content in (("1.jsonl", FIRST), ("2.jsonl", SECOND)):
        (folder / file).write_bytes(content)
        client.datasets.send(folder, name, key="/id", state_folder=tmp_path / "state")
    return name


def test_a_query_reads_snapshots_by_name_and_number(crivo: CrivoCommand, events: str) -> None:
    newest = crivo("query", over(events, 'SELECT id, amount FROM "events" ORDER BY id'))
    first = crivo("query", over(events, "SELECT count(*), sum(amount) FROM events@1"))
    both = crivo(
        "query",
        over(
            events,
            'WITH old AS (FROM events@1), "events" AS (FROM "events" WHERE amount < 9) '
            'SELECT id FROM "events" ANTI JOIN old USING (id) -- not events@9',
        ),
    )

    assert newest.text == "a\t9007199254740993\nb\t1\nc\t5\n"
    assert first.text == "2\t9007199254740994\n"
    assert (both.text, both.err) == ("c\n", "")


def test_numbers_and_times_are_exact(crivo: CrivoCommand, events: str) -> None:
    query = over(events, "SELECT huge, rate, amount, time, later, data FROM events@2 ORDER BY id")

    table = crivo("query", query)
    documents = crivo("query", query, "--json")
    crivo("query", query, "--format", "parquet", "--out", "out.parquet")
    crivo("query", query, "--out", "out.csv")
    nowhere = crivo("query", query, "--out", "missing/out.csv")

    rows = [line.split("\t") for line in table.text.splitlines()]
    assert rows[0][:4] == [
        "12345678901234567890123456789",
        "0.1",
        "9007199254740993",
        "2021-01-14 00:00:04.240000+00:00",
    ]
    assert json.loads(rows[0][5]) == {"n": 1, "s": None}
    # The other zone, and an order of day and month that nobody has said.
    assert (rows[1][3], rows[2][4]) == ("2021-01-14 23:00:00+00:00", "01-02-2021")
    assert b'"huge":12345678901234567890123456789,' in documents.out
    assert len(documents.text.splitlines()) == 3
    assert nowhere.err == "crivo: --out: there is no directory missing\n"
    with duckdb.connect() as database:
        found = database.read_parquet(str(crivo.home / "out.parquet")).fetchall()
    assert [each[2] for each in found] == [9007199254740993, 1, 5]
    with (crivo.home / "out.csv").open(newline="") as file:
        header, first, *_ = csv.reader(file)
    assert header == ["huge", "rate", "amount", "time", "later", "data"]
    assert (first[2], json.loads(first[5])) == ("9007199254740993", {"n": 1, "s": None})


@pytest.mark.parametrize(
    ("odd", "message"),
    [
        (
            '{"id":7,"n":{"x":1}}',
            "id is read as JSON, strings in quotation marks, which ->>'$' takes",
        ),
        ('{"id":"c","n":{"x":"s"}}', "n.x is read as JSON, strings in quotation marks, which"),
        ("[1,2]", "odd.jsonl, line 2 is no object: each line is the one column json, as JSON"),
        ('{"Id":"c"}', 'Id, first in odd.jsonl, line 2, is read as "Id_1": another member has'),
        ('{"id":"c","n":null,"m":[]}', ""),
    ],
)
def test_what_one_record_changes_is_said_each_time(
    crivo: CrivoCommand, client: Crivo, tmp_path: Path, odd: str, message: str
) -> None:
    name = f"odd-{uuid4().hex[:8]}"
    folder = tmp_path / "odd"
    folder.mkdir()
    (folder / "even.jsonl").write_text('{"id":"a","n":{"x":1}}\n')
    (folder / "odd.jsonl").write_text(f'{{"id":"b","n":{{"x":2}}}}\n{odd}\n')
    client.datasets.send(folder, name, state_folder=tmp_path / "state")

    sql = over(name, 'SELECT count(*) FROM "events"')
    first, second = (crivo("query", sql) for _ in range(2))

    assert first.text == "3\n"
    assert first.err == second.err
    assert (message in first.err, bool(first.err)) == (True, bool(message)), first.err
    assert not message or "odd.jsonl, line 2" in first.err


def test_what_was_read_is_not_downloaded_again(crivo: CrivoCommand, events: str) -> None:
    crivo("query", f"FROM {events}@1")
    cache = crivo.home / ".cache" / "crivo" / "query"
    kept = {path: path.stat().st_mtime_ns for path in cache.rglob("*") if path.is_file()}

    again = crivo("query", over(events, "SELECT count(*) FROM events@1"))

    assert again.text == "2\n"
    assert len(kept) == 1
    assert {p: p.stat().st_mtime_ns for p in cache.rglob("*") if p.is_file()} == kept
    assert cache.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELEC 1", 'near "SELEC"'),
        ("SELECT 1;\nSELECT 2", "2 statements"),
        ("SELECT 1\nFROM none@7", "2:6: "),
        ('FROM "export/x"', "1:6: "),
        ("SELECT nope FROM (SELECT 1 AS a)", "LINE 1"),
        ("CREATE TABLE a AS SELECT 1", "CREATE is refused"),
        ("EXPLAIN ANALYZE CREATE TABLE a AS SELECT 1", "CREATE is refused"),
        ("COPY (SELECT 1) TO 'x'", "COPY is refused"),
        ("SET memory_limit = '1GB'", "SET is refused"),
        ("ATTACH 'x'", "ATTACH is refused"),
        ("INSTALL httpfs", "LOAD is refused"),
        ("SELECT * FROM read_text('/etc/hostname')", "datasets and exports only"),
        ("SELECT * FROM glob('/etc/*')", "datasets and exports only"),
        ("SELECT * FROM read_csv('https://example.com/x')", "datasets and exports only"),
        ("SELECT sql FROM tables", "1:17: "),
        ("FROM 'lake/year=*/*.parquet'", "1:6: a query reaches datasets and exports only, and"),
    ],
)
def test_a_query_reads_datasets_and_exports_only(
    crivo: CrivoCommand, sql: str, message: str
) -> None:
    done = crivo("query", sql)

    assert (done.code, message in done.err, done.out) == (ExitCode.USAGE, True, b""), done.err


def test_a_value_that_cannot_be_read_fails(crivo: CrivoCommand) -> None:
    done = crivo("query", "SELECT 'x'::INTEGER")

    assert (done.code, "Conversion Error" in done.err) == (ExitCode.FAILED, True)


def test_an_export_is_a_table_with_its_folders_as_columns(
    crivo: CrivoCommand, tmp_path: Path
) -> None:
    paths = (
        "year=2021/month=01/code=007/domain=a%3Ab/1.parquet",
        "year=2021/month=02/code=1/domain=__HIVE_DEFAULT_PARTITION__/1.parquet",
    )
    with duckdb.connect() as database:
        database.execute(f"COPY (SELECT 1 AS n) TO '{tmp_path}/1.parquet'")
    content = (tmp_path / "1.parquet").read_bytes()
    with stand_in_exports() as service:
        export = service.add(dict.fromkeys(paths, content))
        query = f"FROM export/{export} SELECT n, year, month, code, domain ORDER BY month"
        first = crivo("query", query, CRIVO_URL=service.url)
        again = crivo("query", query, CRIVO_URL=service.url)

        assert service.downloads() == list(paths)
        header = crivo("query", f"FROM export/{export}", "--format", "csv", CRIVO_URL=service.url)
    assert header.text.splitlines()[0] == "n,year,month,code,domain"
    assert first.text == again.text == "1\t2021\t1\t007\ta:b\n1\t2021\t2\t1\t\n"


def test_a_result_on_a_terminal_is_a_table(crivo: CrivoCommand) -> None:
    shown = crivo.in_terminal("query", "SELECT i AS number FROM range(1001) AS t(i)").text

    assert "number" in shown
    assert "1000" not in shown.splitlines()
    assert "the first 1,000 rows" in shown


def test_an_interruption_ends_a_query(crivo: CrivoCommand) -> None:
    sql = "SELECT max(md5((a.i * b.i)::VARCHAR)) FROM range(1000000) a(i), range(1000000) b(i)"
    process = crivo.started("query", sql)
    cache = crivo.home / ".cache" / "crivo" / "query"
    # Loading DuckDB takes less.
    while psutil.Process(process.pid).cpu_times().user < 3:
        assert process.poll() is None
        time.sleep(0.05)  # between two looks at a condition, not instead of one
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)

    assert (process.returncode, err) == (ExitCode.INTERRUPTED, b"crivo: interrupted\n")
    assert not any(cache.iterdir())
