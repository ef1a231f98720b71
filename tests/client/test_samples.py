"""`crivo sample` makes equal bytes of a seed, and says what is left of them."""

import json
from pathlib import Path
from typing import Final

import duckdb
import pytest

from crivo.cli.exit_codes import ExitCode
from tests.support.crivo_command import CrivoCommand
from tests.support.disks import small_disk

MANY: Final = ("--duplicates", "0.5", "--late", "0.2", "--days", "4")
# The window that anybody would write by hand, ties by file order.
SURVIVORS: Final = """
    SELECT year("timestamp"), month("timestamp"), day("timestamp"), domain, event_type,
           count(*), ({digest})::VARCHAR
    FROM (
        SELECT * FROM (
            SELECT row_number() OVER () AS place, * FROM read_ndjson(
                '{folder}/events/*.jsonl',
                columns = {{event_id: 'VARCHAR', timestamp: 'TIMESTAMP', domain: 'VARCHAR',
                           event_type: 'VARCHAR', data: 'JSON'}}))
        QUALIFY row_number() OVER (
            PARTITION BY event_id ORDER BY "timestamp" DESC, place DESC) = 1)
    GROUP BY ALL
"""


@pytest.fixture
def crivo(tmp_path: Path) -> CrivoCommand:
    """The command line, without a service."""
    return CrivoCommand(tmp_path, "http://127.0.0.1:9")


def test_the_truth_is_what_a_window_query_leaves(crivo: CrivoCommand) -> None:
    done = crivo("sample", "events", "--count", "2e4", *MANY, "--out", "sample", "--json")

    truth = json.loads((crivo.home / "sample" / "truth.json").read_text())
    assert json.loads(done.out) == truth
    with duckdb.connect() as database:
        found = database.execute(
            SURVIVORS.format(folder=crivo.home / "sample", digest=truth["digest_in_duckdb"])
        ).fetchall()
    assert set(found) == {tuple(each.values()) for each in truth["partitions"]}
    assert sum(each["rows"] for each in truth["partitions"]) == truth["keys"] == 10_000
    # Nothing would show the order of ties, or of days, without each of these.
    assert truth["versions"].keys() == {"equal", "next_day", "overtaking", "same_day"}
    assert min(truth["versions"].values()) > 1_000
    assert truth["late"] > 1_000
    lines = [path.read_bytes().count(b"\n") for path in (crivo.home / "sample").glob("events/*")]
    assert sum(lines) == truth["lines"] == 20_000


def test_a_seed_gives_equal_bytes_in_each_process(crivo: CrivoCommand) -> None:
    for number, (seed, hashes) in enumerate([("1", "1"), ("1", "2"), ("2", "1")]):
        crivo(
            *("sample", "events", "--count", "2000", *MANY, "--seed", seed, "--out", number),
            PYTHONHASHSEED=hashes,
        )

    first, same, other = (_content(crivo.home / str(number)) for number in range(3))
    assert first == same
    assert first.keys() == other.keys()
    assert all(first[name] != other[name] for name in first)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--count", "0"), "--count"),
        (("--count", "nan"), "--count"),
        (("--count", "1.5"), "--count"),
        (("--count", "9", "--duplicates", "1.5"), "--duplicates"),
        (("--count", "9", "--late", "nan"), "--late"),
        (("--count", "9", "--days", "1"), "no later day"),
        (("--count", "9", "--seed", "-1"), "--seed"),
    ],
)
def test_a_wrong_number_is_refused(
    crivo: CrivoCommand, arguments: tuple[str, ...], reason: str
) -> None:
    done = crivo("sample", "events", *arguments, "--out", "sample")

    assert (done.code, reason in done.err) == (ExitCode.USAGE, True)
    assert not (crivo.home / "sample").exists()


def test_a_folder_with_files_is_left_alone(crivo: CrivoCommand) -> None:
    (crivo.home / "mine").write_text("mine")

    done = crivo("sample", "events", "--count", "9", "--out", ".")

    assert (done.code, "not an empty directory" in done.err) == (ExitCode.USAGE, True)
    assert [each.name for each in crivo.home.iterdir()] == ["mine"]


def test_an_interruption_leaves_nothing(crivo: CrivoCommand) -> None:
    (crivo.home / "sample").mkdir()
    with crivo.terminal("sample", "events", "--count", "1e9", "--out", "sample") as terminal:
        terminal.until(
            lambda shown: b"/1000000000" in shown and any(crivo.home.glob(".*.part/*/*"))
        )
        terminal.interrupts()
        done = terminal.end()

    assert (done.code, b"interrupted" in done.out) == (ExitCode.INTERRUPTED, True)
    assert [each.name for each in crivo.home.iterdir()] == ["sample"]
    assert not any((crivo.home / "sample").iterdir())


def test_a_full_disk_leaves_nothing(crivo: CrivoCommand, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", size_bytes=1 << 20):
        done = crivo("sample", "events", "--count", "1e4", "--out", "disk/sample")

        assert done.code == ExitCode.USAGE
        assert "No space left" in done.err
        assert not any((tmp_path / "disk").iterdir())


def _content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
