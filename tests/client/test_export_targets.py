"""The directory of an export belongs to what it was exported from, and names it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import uuid_utils.compat as uuid

from crivo.cli.exit_codes import ExitCode, UsageError
from crivo.cli.export_target import reserved
from tests.support.crivo_command import CrivoCommand
from tests.support.stand_in_exports import StandInExports, stand_in_exports

A: Final = "year=2021/month=01/day=14/domain=a%3Ab/1.parquet"
BY_DAY: Final = ("--dedupe", "event_id", "--latest", "timestamp", "--partition", "day,domain")


@pytest.fixture
def service() -> Iterator[StandInExports]:
    with stand_in_exports() as server:
        yield server


@pytest.fixture
def crivo(service: StandInExports, tmp_path: Path) -> CrivoCommand:
    return CrivoCommand(tmp_path, service.url)


def parquet_files(folder: Path) -> set[Path]:
    return set(folder.rglob("*.parquet"))


def test_an_export_of_something_else_replaces_nothing_unless_forced(
    crivo: CrivoCommand, service: StandInExports
) -> None:
    service.files = {A: b"a"}
    crivo("export", "events@4", "--to", "out", *BY_DAY)
    (crivo.home / "out" / "mine.parquet").touch()
    before = parquet_files(crivo.home / "out")
    for arguments, reason in (
        (("events@3", *BY_DAY), "events@4 (1 files), which is newer than events@3"),
        (("events", *BY_DAY[:4]), "levels year=/timestamp,month=/timestamp,day=/timestamp,domain="),
        (("events", "--dedupe", "/data/id", *BY_DAY[2:]), "key /event_id, not /data/id"),
        (("events", *BY_DAY, "--column", "domain"), "other columns"),
    ):
        refused = crivo("export", *arguments, "--to", "out")
        assert (refused.code, reason in refused.err) == (ExitCode.USAGE, True), refused.err
    assert len(service.asked) == 1
    assert crivo("export", "events@4", "--to", "out", *BY_DAY).code == 0

    other = crivo("export", "others", "--to", "elsewhere", *BY_DAY, "--detach").text.strip()
    refused = crivo("exports", "download", other, "--to", "out")
    kept = parquet_files(crivo.home / "out")
    forced = crivo("exports", "download", other, "--to", "out", "--force")

    assert (refused.code, kept) == (ExitCode.USAGE, before)
    assert "events@4 (1 files), not of others; --force replaces it" in refused.err
    assert (forced.code, "not of the export (1), such as out/mine.parquet" in forced.err) == (
        0,
        True,
    )
    assert not (crivo.home / "elsewhere").exists()


def test_another_version_of_the_script_replaces_nothing_unless_forced(
    crivo: CrivoCommand, service: StandInExports
) -> None:
    service.files = {A: b"a"}
    arguments = ("export", "events@4", "--to", "out", "--script")
    assert crivo(*arguments, "normalise@prod").code == 0
    assert crivo(*arguments, "normalise@1").code == 0

    service.script_version = 2
    before = crivo(*arguments, "normalise@prod")
    asked = len(service.asked)
    detached = crivo("export", "events@4", "--to", "x", "--script", "normalise", "--detach")
    after = crivo("exports", "download", detached.text.strip(), "--to", "out")
    forced = crivo(*arguments, "normalise@prod", "--force")

    for refused in (before, after):
        assert refused.code == ExitCode.USAGE
        assert "script normalise@1, not normalise@2; --force replaces it" in refused.err
    assert (asked, forced.code) == (2, 0)


def test_an_export_within_or_around_another_is_refused(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    (lake / "_crivo").mkdir(parents=True)
    # Nothing was exported yet.
    for folder in (tmp_path, lake, lake / "inner"):
        with reserved(folder, force=False):
            pass
    (lake / "_crivo" / "1.json").touch()

    for folder, outer in ((lake / "inner", "is in"), (tmp_path, "has an export in")):
        with pytest.raises(UsageError, match=f"{outer} {lake}"), reserved(folder, force=False):
            pass
        with reserved(folder, force=True):
            pass
    with reserved(lake, force=False):
        pass


def test_a_dataset_that_was_created_again_is_another_one(
    crivo: CrivoCommand, service: StandInExports
) -> None:
    service.files = {A: b"a"}
    earlier = crivo("export", "events@3", "--to", "out", "--detach").text.strip()
    assert crivo("exports", "download", earlier, "--to", "out").code == 0
    service.dataset_id = uuid.uuid7()

    asked = crivo("export", "events", "--to", "out", "--since", "last")
    later = crivo("export", "events", "--to", "other", "--since", "last", "--detach")
    downloaded = crivo("exports", "download", later.text.strip(), "--to", "out")

    for refused in (asked, downloaded):
        assert refused.code == ExitCode.USAGE
        assert "events@3 (1 files), from before events was deleted and created" in refused.err
    assert "since" not in service.asked[-1]
    # The export is itself from before, and the files are its own.
    assert crivo("exports", "download", earlier, "--to", "out").code == 0


def test_the_newest_snapshot_may_be_older_than_what_is_there(
    crivo: CrivoCommand, service: StandInExports
) -> None:
    service.files = {A: b"a"}
    crivo("export", "events@7", "--to", "out")

    refused = crivo("export", "events", "--to", "out")

    assert (refused.code, "newer than events@4" in refused.err) == (ExitCode.USAGE, True)


def test_a_nightly_export_finds_the_snapshot_that_it_continues(
    crivo: CrivoCommand, service: StandInExports
) -> None:
    service.files = {A: b"a"}
    bucket = ("--to", "s3://bucket/events")
    columns = ("--dedupe", "event_id", "--latest", "timestamp", "--column", "domain")
    never = crivo("export", "others", *bucket, *columns)
    service.newest_snapshot = 5
    crivo("export", "events@2", "--to", "file:///elsewhere")
    first = crivo("export", "events@3", "--to", "out", "--since", "last")
    crivo("export", "events", "--to", "out", "--since", "last")
    crivo("export", "events", *bucket, "--since", "last")
    crivo("export", "events", "--to", "s3://bucket/events/", "--since", "last")

    assert [each.get("since") for each in service.asked] == [None, None, None, 3, None, 5]
    assert "--since last: out has no export of events yet" in first.err
    assert "no column of /event_id and /timestamp, so --since cannot continue" in never.err
    assert "--column event_id=/event_id --column timestamp=/timestamp lets it" in never.err
    assert "--since cannot" not in first.err
