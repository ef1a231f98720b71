"""`crivo send --watch` publishes the files of a directory as they arrive."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from uuid import uuid4

import pytest

from crivo.cli.exit_codes import ExitCode
from crivo.cli.folder_watch import FolderWatch
from crivo.folders import find_files
from tests.support.crivo_command import CrivoCommand
from tests.support.faulty_server import Scripted, faulty_server
from tests.support.system import System

_SETTLE: Final = ("--settle", "0.2")


@contextmanager
def watching(
    crivo: CrivoCommand, folder: Path, dataset: str
) -> Iterator["subprocess.Popen[bytes]"]:
    process = crivo.started("send", folder, dataset, "--key", "/pk", "--watch", *_SETTLE)
    with process:
        try:
            # Its first line, once signals are handled.
            assert process.stderr is not None
            assert b"watching" in process.stderr.readline()
            yield process
        finally:
            process.kill()


def next_line(process: "subprocess.Popen[bytes]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().decode()


def test_each_round_is_a_snapshot(crivo: CrivoCommand, system: System) -> None:
    folder, dataset = crivo.home / "in", f"watched-{uuid4().hex[:8]}"
    folder.mkdir()
    (folder / "a.jsonl").write_bytes(b'{"pk":"a"}\n')
    with watching(crivo, folder, dataset) as process:
        assert next_line(process) == f"{dataset}@1  1 files, 1 records, 11 bytes\n"
        # A bad file does not hold others up.
        (folder / "new").mkdir()
        (folder / "new" / "bad.jsonl").write_bytes(b"{oops\n")
        (folder / "new" / "b.jsonl").write_bytes(b'{"pk":"b"}\n')
        assert next_line(process).startswith(f"{dataset}@2  1 files")
        process.terminate()
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, b"new/bad.jsonl:1: error" in errors) == (ExitCode.FAILED, True)

    # Started again, it sends what is new or has changed.
    (folder / "new" / "bad.jsonl").write_bytes(b'{"pk":"good"}\n')
    (folder / "a.jsonl").write_bytes(b'{"pk":"a","v":2}\n')
    with watching(crivo, folder, dataset) as process:
        assert next_line(process).startswith(f"{dataset}@3  2 files, 2 records")
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == ExitCode.OK

    snapshot = system.client.get(f"/datasets/{dataset}").json()["latest_snapshot"]
    assert (snapshot["number"], snapshot["files"], snapshot["records"]) == (3, 3, 3)
    assert system.client.get(f"/datasets/{dataset}/records/a").json() == {"pk": "a", "v": 2}
    whole = crivo("send", folder, dataset, "--watch", "--mode", "replace")
    assert (whole.code, "--mode" in whole.err) == (ExitCode.USAGE, True)


def test_an_odd_file_does_not_end_it(crivo: CrivoCommand, system: System) -> None:
    folder, dataset = crivo.home / "in", f"watched-{uuid4().hex[:8]}"
    folder.mkdir()
    (folder / "good.jsonl").write_bytes(b'{"pk":"a"}\n')
    (folder / "back\\slash.jsonl").write_bytes(b'{"pk":"b"}\n')
    (folder / "\udcff.jsonl").write_bytes(b'{"pk":"c"}\n')
    # Not even root may read it.
    (folder / "unreadable").symlink_to("/proc/sys/vm/compact_memory")
    problem = (
        b'{"type":"urn:crivo:problem:part-differs","title":"Differs","status":409,"detail":"x"}'
    )
    headers = {"Content-Type": "application/problem+json"}
    with faulty_server(system.url) as proxy:
        # The upload holds a late part of a run that was killed.
        proxy.faults = [*[None] * 3, Scripted(status=409, headers=headers, body=problem)]
        with watching(CrivoCommand(crivo.home, proxy.url), folder, dataset) as process:
            assert next_line(process) == f"{dataset}@1  1 files, 1 records, 11 bytes\n"
            process.terminate()
            _, output = process.communicate(timeout=30)

    errors = output.decode()
    assert process.returncode == ExitCode.FAILED
    assert "another attempt follows" in errors
    assert "slash.jsonl:1: error: " in errors
    assert errors.count("\\udcff.jsonl: error: the name is not UTF-8") == 1
    assert errors.count("unreadable: error: Permission denied") == 1


def test_a_folder_that_vanishes_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def vanish(folder: Path) -> bool:
        folder.rmdir()
        return False

    (tmp_path / "a.jsonl").write_bytes(b"1")
    (tmp_path / "_temporary").mkdir()
    # It is called for each folder between its listing and its visit.
    monkeypatch.setattr(Path, "is_symlink", vanish)

    assert [each.name for each in find_files(tmp_path).files] == ["a.jsonl"]


def test_a_file_settles_once_it_has_not_changed_for_a_while(tmp_path: Path) -> None:
    watch = FolderWatch(tmp_path, include=("*.jsonl",), settle=5.0)
    file = tmp_path / "a.jsonl"
    file.write_bytes(b"1")
    (tmp_path / "a.tmp").write_bytes(b"1")

    assert watch.settled(100.0) == set()
    file.write_bytes(b"12")
    assert watch.settled(105.0) == set()
    assert watch.settled(109.9) == set()
    assert watch.settled(110.0) == {"a.jsonl"}
    watch.finish({"a.jsonl"})
    assert watch.settled(120.0) == set()
    # Replaced by a file that looks the same.
    (tmp_path / "b").write_bytes(b"34")
    state = file.stat()
    os.utime(tmp_path / "b", ns=(state.st_atime_ns, state.st_mtime_ns))
    (tmp_path / "b").rename(file)
    assert watch.settled(121.0) == set()
    assert watch.settled(126.0) == {"a.jsonl"}
