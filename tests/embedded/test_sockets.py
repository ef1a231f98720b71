"""Sockets are in short, private folders of the right user."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.embedded.errors import CannotStart
from app.embedded.sockets import MAX_SOCKET_BYTES, MAX_SOCKET_NAME, socket_folder

ME = os.geteuid()


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    # pytest's own path is too long under xdist for tests of path lengths.
    with tempfile.TemporaryDirectory(prefix="crivo-", dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "r"
    folder.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    return folder


def folder_of_length(base: Path, length: int) -> Path:
    folder = base / ("x" * (length - len(str(base)) - 1))
    folder.mkdir()
    return folder


def test_a_short_plain_data_folder_contains_its_sockets(tmp_path: Path) -> None:
    folder = socket_folder(tmp_path, ME)
    assert folder == tmp_path / "run"
    assert folder.stat().st_mode & 0o777 == 0o700


def test_the_longest_path_that_fits_is_used(tmp_path: Path, runtime: Path) -> None:
    longest = MAX_SOCKET_BYTES - len(f"/run/{MAX_SOCKET_NAME}")
    fits = folder_of_length(tmp_path, longest)
    assert socket_folder(fits, ME) == fits / "run"
    too_long = folder_of_length(tmp_path, longest + 1)
    assert socket_folder(too_long, ME).parent == runtime


@pytest.mark.parametrize("name", ["with space", "é", "a%20b", "a#b", "a,b"])
def test_a_path_that_needs_url_encoding_has_its_sockets_elsewhere(
    tmp_path: Path, runtime: Path, name: str
) -> None:
    data = tmp_path / name
    data.mkdir()
    assert socket_folder(data, ME).parent == runtime


def test_each_data_folder_has_one_stable_socket_folder(tmp_path: Path, runtime: Path) -> None:
    one, other = tmp_path / "data 1", tmp_path / "data 2"
    assert socket_folder(one, ME) == socket_folder(one, ME)
    assert socket_folder(one, ME) != socket_folder(other, ME)
    assert len(list(runtime.iterdir())) == 2


@pytest.mark.usefixtures("runtime")
def test_a_link_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "data 1"
    folder = socket_folder(data, ME)
    folder.rmdir()
    folder.symlink_to(tmp_path)
    with pytest.raises(CannotStart, match="somebody else"):
        socket_folder(data, ME)


@pytest.mark.skipif(ME != 0, reason="only root can give a folder away")
@pytest.mark.usefixtures("runtime")
def test_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "data 1"
    os.chown(socket_folder(data, ME), 65_534, -1)
    with pytest.raises(CannotStart, match="somebody else"):
        socket_folder(data, ME)


def test_a_runtime_folder_with_a_long_path_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = folder_of_length(tmp_path, 100)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(long))
    folder = socket_folder(tmp_path / "data 1", ME)
    assert str(folder.parent) == "/tmp"  # noqa: S108 - the name is what is tested
    folder.rmdir()
