"""Exports arrive in a folder as a whole; a stand-in for the service says which files they have."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from crivo import (
    AsyncCrivo,
    Crivo,
    ExportDamaged,
    ExportInProgress,
    Retry,
    UnexpectedResponse,
)
from crivo.cli.exit_codes import ExitCode
from tests.support.crivo_command import CrivoCommand
from tests.support.faulty_server import Scripted, Stuck
from tests.support.stand_in_exports import StandInExports, stand_in_exports

A: Final = "year=2021/month=01/day=14/domain=a%3Ab/1.parquet"
B: Final = "year=2021/month=01/day=15/domain=b/1.parquet"
C: Final = "year=2021/month=02/day=01/domain=b/2.parquet"


@pytest.fixture
def service() -> Iterator[StandInExports]:
    with stand_in_exports() as server:
        yield server


@pytest.fixture
def client(service: StandInExports) -> Iterator[Crivo]:
    with Crivo(service.url, retry=Retry(attempts=1)) as client:
        yield client


@pytest.fixture
def crivo(service: StandInExports, tmp_path: Path) -> CrivoCommand:
    return CrivoCommand(tmp_path, service.url)


def content(folder: Path) -> dict[str, bytes]:
    """What a reader of tables finds, and `_SUCCESS`."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.relative_to(folder).parts[0] != "_crivo"
    }


def test_the_command_asks_for_an_export_and_downloads_it(
    crivo: CrivoCommand, service: StandInExports
) -> None:
    service.files = {A: b"a", B: b"b"}

    done = crivo(
        *("export", "events@4", "--to", "out", "--dedupe", "event_id", "--latest", "timestamp"),
        *(
            "--partition",
            "year, day,domain,kind=type",
            "--column",
            "event_id",
            "--column",
            "data:json",
        ),
        *("--column", "price=/data/price:decimal(18,2)", "--bad-rows", "dead-letter"),
        *("--since", "3"),
    )

    assert (done.code, done.text.splitlines()) == (
        0,
        [f"{path.rpartition('/')[0]}\t1\t1\t3" for path in (A, B)],
    )
    [export] = service.exports
    assert "5 rows in, 2 duplicates dropped, 2 rows out, 2 files" in done.err
    assert f"`crivo exports errors {export}`" in done.err
    assert service.asked == [
        {
            "dataset": "events@4",
            "deduplicate": {"key": "/event_id", "latest_by": "/timestamp"},
            "partition_by": [
                {"year": "/timestamp"},
                {"month": "/timestamp"},
                {"day": "/timestamp"},
                "/domain",
                {"kind": "/event_type"},
            ],
            "columns": {
                "event_id": "/event_id",
                "data": {"pointer": "/data", "type": "json"},
                "price": {"pointer": "/data/price", "type": "decimal(18,2)"},
            },
            "since": 3,
            "on_bad_row": "dead_letter",
        }
    ]
    success = f"_crivo/{export}.json\n".encode()
    assert content(crivo.home / "out") == {A: b"a", B: b"b", "_SUCCESS": success}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--dedupe", "evnt"), "no evnt, but event_id, timestamp, domain, event_type, data"),
        (("--dedupe", "id"), "no id; it may be /event_id or /data/id"),
        (("--column", "id=data.id"), "it may be /data/id"),
        (("--column", "event_id,domain"), "--column is repeated"),
        (("--column", "a=domain", "--column", "a=event_id"), "given twice, and not equally"),
        (("--partition", "day"), "--latest, which is missing"),
        (("--latest", "timestamp", "--partition", "domain"), "add --dedupe KEY"),
        (("--column", "=x"), "NAME=MEMBER"),
        (("--partition", "data/id"), "it may be /data/id"),
        (("--to", "file"), "is not a directory"),
        (("--to", "s3:/bucket/x"), "two slashes: s3://bucket/x"),
        (("--to", "missing/out"), "there is no directory missing; create it, or mount its disk"),
    ],
)
def test_what_cannot_be_exported_is_said_before(
    crivo: CrivoCommand, service: StandInExports, arguments: tuple[str, ...], message: str
) -> None:
    (crivo.home / "file").touch()
    to = () if "--to" in arguments else ("--to", "out")

    done = crivo("export", "events", *to, *arguments)

    assert (done.code, message in done.err, service.asked) == (ExitCode.USAGE, True, [])


def test_exports_are_listed_shown_and_described(
    crivo: CrivoCommand, service: StandInExports
) -> None:
    export = service.add({A: b"a"})

    assert crivo("exports", "list").text.startswith(f"{export}\tevents@4\tsucceeded\t2021-02-01")
    assert "duplicates   2" in crivo("exports", "show", export).text
    assert crivo("exports", "cancel", export).text == f"{export}  succeeded\n"
    assert crivo("exports", "files", export).text.startswith(f"{A}\t1\t1\t")
    assert crivo("exports", "errors", export).text.startswith("a.jsonl\t7\t/timestamp\t")
    table = crivo("exports", "ddl", export, "--dialect", "athena", "--name", "db.events").text
    assert table == "CREATE EXTERNAL TABLE events (x STRING);\n"
    assert "dialect=athena&name=db.events" in service.seen[-1].path
    detached = crivo("export", "events", "--to", "s3://bucket/events", "--detach")
    assert detached.text.strip() in service.exports
    assert service.asked[-1] == {"dataset": "events", "to": "s3://bucket/events"}
    crivo("export", "events", "--to", "s3://bucket/events", "--force", "--detach")
    assert service.asked[-1]["replace"] is True
    elsewhere = crivo("exports", "download", detached.text.strip(), "--to", "out")
    assert (elsewhere.code, elsewhere.err.splitlines()) == (
        ExitCode.USAGE,
        ["crivo: the files of the export go to s3://bucket/events, and are not kept here"],
    )
    [first, more] = (crivo("exports", "list", *limit).err for limit in (("--limit", "1"), ()))
    assert (first, more) == ("", "")
    unnamed = crivo("exports", "show", "")
    assert (unnamed.code, "an empty text names none of the exports" in unnamed.err) == (
        ExitCode.USAGE,
        True,
    )


def test_an_export_replaces_what_an_earlier_one_put_there(
    client: Crivo, service: StandInExports, tmp_path: Path
) -> None:
    (tmp_path / "year=2021").mkdir()
    (tmp_path / "year=2021" / "mine.parquet").write_bytes(b"mine")
    client.exports.download(service.add({A: b"a", B: b"b"}), tmp_path)
    service.seen.clear()
    shown: list[tuple[int, int]] = []

    later = service.add({B: b"b", C: b"new"})
    client.exports.download(later, tmp_path, on_progress=lambda *done: shown.append(done))

    assert service.downloads() == [C]
    assert shown == [(3, 3)]
    found = content(tmp_path)
    assert found.pop("_SUCCESS") == f"_crivo/{later}.json\n".encode()
    assert found == {"year=2021/mine.parquet": b"mine", B: b"b", C: b"new"}
    assert not (tmp_path / A).parent.exists()


def test_a_folder_belongs_to_one_export_from_its_start(
    crivo: CrivoCommand, service: StandInExports
) -> None:
    service.files = {A: b"a"}
    service.stuck = Stuck(path="wait=")
    with crivo.started("export", "events", "--to", "out") as process:
        assert service.stuck.reached.wait(60)

        busy = crivo("export", "events", "--to", "out")

        process.send_signal(signal.SIGINT)
        message = process.communicate()[1].decode()

    [export] = service.exports
    assert (busy.code, "another process writes" in busy.err) == (ExitCode.REFUSED, True)
    assert process.returncode == ExitCode.INTERRUPTED
    assert f"`crivo exports download {export} --to out` waits for its files" in message
    assert not (crivo.home / "out").exists()


def test_many_partitions_are_counted(crivo: CrivoCommand, service: StandInExports) -> None:
    service.files = {f"day={each:02}/1.parquet": b"a" for each in range(51)}

    done = crivo("export", "events", "--to", "out")

    lines = done.text.splitlines()
    assert (len(lines), lines[0].split("\t")[0], lines[-1].split("\t")[0]) == (
        20,
        "day=00",
        "day=50",
    )
    assert "51 partitions" in done.err


@pytest.mark.parametrize("to", ["file", "out"])
def test_a_download_says_once_what_is_wrong(crivo: CrivoCommand, to: str) -> None:
    (crivo.home / "file").touch()

    done = crivo("exports", "download", "nope", "--to", to)

    assert (done.code != 0, len(done.err.splitlines())) == (True, 1)


def test_two_files_may_be_equal(client: Crivo, service: StandInExports, tmp_path: Path) -> None:
    client.exports.download(service.add({A: b"same", B: b"same"}), tmp_path)

    assert content(tmp_path).keys() == {A, B, "_SUCCESS"}


def test_a_killed_download_leaves_the_earlier_export_and_goes_on(
    crivo: CrivoCommand, service: StandInExports
) -> None:
    folder = crivo.home / "out"
    earlier, export = service.add({A: b"old"}), service.add({A: b"a", B: b"b", C: b"c"})
    crivo("exports", "download", earlier, "--to", "out")
    before = content(folder)
    service.stuck = Stuck(path="day%3D15")
    process = crivo.started("exports", "download", export, "--to", "out")
    assert service.stuck.reached.wait(60)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert content(folder) == before
    service.stuck.released.set()
    service.seen.clear()

    done = crivo("exports", "download", export, "--to", "out")

    assert (done.code, service.downloads()) == (0, [B, C])
    assert content(folder).keys() == {A, B, C, "_SUCCESS"}
    assert not (folder / "_crivo" / "staging").exists()


def test_files_of_a_move_that_stopped_are_no_orphans(
    client: Crivo, service: StandInExports, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = Path.replace

    def full_disk_at_b(self: Path, target: Path) -> Path:
        if target.as_posix().endswith(B):
            raise OSError(28, "No space left on device")
        return replace(self, target)

    stopped = service.add({A: b"a", B: b"b"})
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", full_disk_at_b)
        with pytest.raises(OSError, match="No space"):
            client.exports.download(stopped, tmp_path)
    assert content(tmp_path) == {A: b"a"}

    client.exports.download(service.add({C: b"c"}), tmp_path)

    assert content(tmp_path).keys() == {C, "_SUCCESS"}


def test_damaged_bytes_are_not_published(
    client: Crivo, service: StandInExports, tmp_path: Path
) -> None:
    export = service.add({A: b"a", B: b"b"})
    # After the manifest and the first file.
    service.faults = [None, None, Scripted(body=b"x")]

    with pytest.raises(ExportDamaged, match="another sha256"):
        client.exports.download(export, tmp_path)

    assert content(tmp_path) == {}


def test_a_manifest_without_all_files_deletes_nothing(
    client: Crivo, service: StandInExports, tmp_path: Path
) -> None:
    client.exports.download(service.add({A: b"a"}), tmp_path)
    before = content(tmp_path)
    service.leaves_out = B

    with pytest.raises(UnexpectedResponse, match="does not list the files"):
        client.exports.download(service.add({B: b"b"}), tmp_path)

    assert content(tmp_path) == before


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x", "_crivo/x.json", "_SUCCESS", "a\\b"])
def test_a_path_that_leads_elsewhere_is_refused(
    client: Crivo, service: StandInExports, tmp_path: Path, path: str
) -> None:
    with pytest.raises(UnexpectedResponse, match="names a file"):
        client.exports.download(service.add({path: b"x"}), tmp_path / "out")

    assert not (tmp_path / "out").exists()


async def test_one_process_writes_into_a_folder(service: StandInExports, tmp_path: Path) -> None:
    export = service.add({A: b"a"})
    async with AsyncCrivo(service.url, retry=Retry(attempts=1)) as client:
        with Crivo(service.url) as other:

            def download_as_well(_done: int, _total: int) -> None:
                with pytest.raises(ExportInProgress):
                    other.exports.download(export, tmp_path)

            manifest = await client.exports.download(export, tmp_path, on_progress=download_as_well)

    assert [each.path for each in manifest.files] == [A]
    assert content(tmp_path).keys() == {A, "_SUCCESS"}
