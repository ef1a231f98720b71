"""A directory that is sent arrives as it is, and once, whatever happens meanwhile."""

import json
import os
import random
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from uuid import uuid4

import pytest

from crivo import AsyncCrivo, Conflict, Crivo, NothingToSend, NotPublished, Unreachable
from crivo.cli.exit_codes import ExitCode
from crivo.retries import Retry
from tests.support.crivo_command import CrivoCommand
from tests.support.faulty_server import FaultyServer, Lost, Stuck, faulty_server
from tests.support.system import System

MIB: Final = 1024 * 1024
RECORD_BYTES: Final = 2_400


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Where journals are."""
    return tmp_path / "state"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "scores"
    folder.mkdir()
    return folder


@pytest.fixture
def dataset() -> str:
    return f"scores-{uuid4().hex[:8]}"


def records(keys: Iterator[int] | range | list[int]) -> bytes:
    """Lines of 2,400 bytes."""
    head = len(json.dumps({"pk": "00000000", "text": ""})) + 1
    lines = ({"pk": f"{n:08}", "text": f"{n % 10}" * (RECORD_BYTES - head)} for n in keys)
    return "".join(f"{json.dumps(each)}\n" for each in lines).encode()


def held_parts(system: System, home: Path) -> set[str]:
    """The parts that the upload of the only journal holds, as the ends of their addresses."""
    [journal] = (home / ".local/state/crivo/sends").iterdir()
    upload = json.loads(journal.read_text().splitlines()[-1])["upload"]
    files = system.client.get(f"/uploads/{upload}").json()["files"]
    return {f"{file['path']}/parts/{part['part']}" for file in files for part in file["parts"]}


def sent_parts(proxy: FaultyServer) -> list[str]:
    """Every attempt to send a part."""
    return [
        each.path.split("/files/")[1]
        for each in proxy.seen
        if each.method == "PUT" and "/parts/" in each.path
    ]


def killed(
    process: "subprocess.Popen[bytes]", stuck: Stuck, *, by: signal.Signals = signal.SIGKILL
) -> str:
    """End a process once a request of it is stuck, which is lost; return what it says."""
    assert stuck.reached.wait(60)
    process.send_signal(by)
    said = process.communicate()[1].decode()
    stuck.released.set()
    return said


def test_a_run_that_is_killed_goes_on_where_it_stopped(
    crivo: CrivoCommand, system: System, client: Crivo, folder: Path, dataset: str
) -> None:
    keys = list(range(18_000))
    random.Random(1).shuffle(keys)  # noqa: S311 - a fixed order
    for file in range(2):
        (folder / f"{file}.jsonl").write_bytes(records(keys[file * 9_000 : (file + 1) * 9_000]))
    (folder / "last.jsonl").write_bytes(b'{"pk":"crlf"}\r\n{"pk":"end"}')
    (folder / "none.jsonl").write_bytes(b"")

    with faulty_server(system.url) as proxy:
        arguments = ("send", folder, dataset, "--key", "/pk", "--url", proxy.url)

        # Killed with two parts sent and the third on its way.
        proxy.stuck = stuck = Stuck(path="/parts/", after=2)
        first = crivo.started(*arguments, "--parallel", 1)
        assert stuck.reached.wait(60)
        refused = crivo(*arguments)
        killed(first, stuck)
        assert (refused.code, "another process sends" in refused.err) == (ExitCode.REFUSED, True)
        held = held_parts(system, crivo.home)
        assert held == {"0.jsonl/parts/1", "0.jsonl/parts/2"}

        # Ended by Ctrl-C with several on their way; its last line of the journal was cut off.
        lost = {stuck.held_path.split("/files/")[1]}
        proxy.stuck = stuck = Stuck(path="/parts/", after=2)
        said = killed(crivo.started(*arguments), stuck, by=signal.SIGINT)
        assert f"crivo: `crivo send {folder} {dataset} --key /pk` goes on" in said
        lost.add(stuck.held_path.split("/files/")[1])
        held |= held_parts(system, crivo.home)
        [journal] = (crivo.home / ".local/state/crivo/sends").iterdir()
        with journal.open("ab") as torn:
            torn.write(b'{"type":"publ')

        # Killed after the commit, before its response.
        proxy.stuck = stuck = Stuck(path="/commit", forwarded=True)
        killed(crivo.started(*arguments), stuck)

        done = crivo(*arguments, "--json")

    sent = json.loads(done.out)
    attempts = sent_parts(proxy)
    assert (done.code, sent["snapshot"]["number"], sent["parts_sent"]) == (0, 1, 0)
    assert (sent["files"], sent["parts"], sent["records"]) == (4, 8, 18_002)
    assert len(set(attempts)) == 8
    # Except for those that were stuck.
    assert {each for each in held - lost if attempts.count(each) > 1} == set()
    assert [each.number for each in client.datasets.snapshots(dataset)] == [1]
    assert not list((crivo.home / ".local/state/crivo/sends").iterdir())

    for path in folder.iterdir():
        assert b"".join(client.datasets.file_chunks(dataset, path.name)) == path.read_bytes()
    wanted = [f"{n:08}" for n in keys] + ["crlf", "end"]
    for key, record in client.datasets.records(dataset, wanted):
        assert record is not None
        assert record.json()["pk"] == key


def test_bad_lines_are_named_and_what_was_changed_since_is_sent_again(
    client: Crivo, folder: Path, state: Path, dataset: str
) -> None:
    (folder / "a.jsonl").write_bytes(records(range(4_000)))
    (folder / "b.jsonl").write_bytes(records(range(4_000)) + b'{"pk":"b"}\n{oops}\n')
    (folder / "gone.jsonl").write_bytes(b"{}\n")
    before = (folder / "a.jsonl").stat()

    def send() -> int:
        sent = client.datasets.send(folder, dataset, key="/pk", state_folder=state)
        assert (sent.raw_bytes, sent.records) == (2 * 4_000 * RECORD_BYTES, 8_000)
        return sent.parts_sent

    with pytest.raises(NotPublished) as failure:
        send()
    [bad] = failure.value.bad_lines
    assert (bad.path, bad.line) == ("b.jsonl", 4_002)
    assert bad.byte is not None
    assert 4_000 * RECORD_BYTES < bad.byte < (folder / "b.jsonl").stat().st_size
    assert client.datasets.show(dataset).latest_snapshot is None

    # One record changes within the second part, and the file looks as before.
    with (folder / "a.jsonl").open("r+b") as file:
        file.seek(3_990 * RECORD_BYTES)
        file.write(records(range(77_777, 77_778)))
    os.utime(folder / "a.jsonl", ns=(before.st_atime_ns, before.st_mtime_ns))
    (folder / "b.jsonl").write_bytes(records(range(4_000)))
    (folder / "gone.jsonl").unlink()

    # Both parts of the file that changed, and the one that was bad.
    assert send() == 3
    for name in ("a.jsonl", "b.jsonl"):
        chunks = client.datasets.file_chunks(dataset, name)
        assert b"".join(chunks) == (folder / name).read_bytes()
    assert client.datasets.record(dataset, "00077777").snapshot == 1


def test_a_file_that_changes_while_it_is_sent_is_not_published(
    client: Crivo, folder: Path, state: Path, dataset: str
) -> None:
    (folder / "a.jsonl").write_bytes(b'{"pk":"a"}\n')
    (folder / "b.jsonl").write_bytes(records(range(4_000)))
    (folder / "c.jsonl").write_bytes(b'{"pk":"c"}\n')
    progress: list[tuple[int, int]] = []

    def change(done: int, total: int) -> None:
        progress.append((done, total))
        # The first has been sent, and one part of the second.
        for name in ("a.jsonl", "b.jsonl") if len(progress) == 2 else ():
            with (folder / name).open("ab") as file:
                file.write(b'{"pk":"more"}\n')

    with pytest.raises(NotPublished) as failure:
        client.datasets.send(
            folder, dataset, key="/pk", state_folder=state, parallel=1, on_progress=change
        )
    assert failure.value.changed == ["a.jsonl", "b.jsonl"]
    assert "changed while being sent: a.jsonl, b.jsonl" in str(failure.value)
    assert client.datasets.show(dataset).latest_snapshot is None

    sent = client.datasets.send(folder, dataset, state_folder=state)

    assert (sent.snapshot.number, sent.records) == (1, 4_004)
    chunks = client.datasets.file_chunks(dataset, "b.jsonl")
    assert b"".join(chunks) == (folder / "b.jsonl").read_bytes()


def test_every_response_may_be_lost_once(
    system: System, folder: Path, state: Path, dataset: str
) -> None:
    (folder / "a.jsonl").write_bytes(records(range(4_000)))
    retry = Retry(first_pause=0.01)
    with faulty_server(system.url) as proxy, Crivo(proxy.url, retry=retry) as client:
        proxy.faults = [Lost(forwarded=True), None] * 6
        sent = client.datasets.send(folder, dataset, key="/pk", state_folder=state, parallel=1)
        assert proxy.faults == []
        # Within the body of a download.
        proxy.faults = [Lost(forwarded=True, after_bytes=3 * MIB)] * 2
        client.datasets.download(dataset, "a.jsonl", folder / "copy")

    assert (sent.snapshot.number, sent.parts) == (1, 2)
    assert system.client.get(f"/datasets/{dataset}/uploads").json()["items"] == []
    assert system.client.get(f"/datasets/{dataset}").json()["latest_snapshot"]["number"] == 1
    assert (folder / "copy").read_bytes() == (folder / "a.jsonl").read_bytes()


def test_lines_that_are_appended_after_a_commit_are_published(
    system: System, folder: Path, state: Path, dataset: str
) -> None:
    # One full part, so that the next line begins another.
    head = b'{"pk":"a","text":"'
    (folder / "a.jsonl").write_bytes(head + b"x" * (8 * MIB - len(head) - 3) + b'"}\n')
    with faulty_server(system.url) as proxy, Crivo(proxy.url, retry=Retry(attempts=1)) as one:
        # Only the response to the commit is lost.
        proxy.faults = [*[None] * 4, Lost(forwarded=True)]
        with pytest.raises(Unreachable):
            one.datasets.send(folder, dataset, key="/pk", state_folder=state, parallel=1)
        assert proxy.seen[-1].path.endswith("/commit")
        with (folder / "a.jsonl").open("ab") as file:
            file.write(b'{"pk":"b"}\n')
        sent = one.datasets.send(folder, dataset, key="/pk", state_folder=state)
        assert (sent.snapshot.number, sent.records) == (2, 2)
        assert one.datasets.record(dataset, "b").content == b'{"pk":"b"}'


def test_an_empty_pointer_is_another_key(
    client: Crivo, folder: Path, state: Path, dataset: str
) -> None:
    (folder / "a.jsonl").write_bytes(b'{"pk":"a"}\n')
    client.datasets.put(dataset, key="/pk")

    # It stands for the whole record.
    with pytest.raises(Conflict):
        client.datasets.send(folder, dataset, key="", state_folder=state)


def test_what_replaces_a_dataset_is_not_only_what_is_new(
    client: Crivo, folder: Path, state: Path, dataset: str
) -> None:
    (folder / "a.jsonl").write_bytes(b'{"pk":"a"}\n')

    with pytest.raises(ValueError, match="only_new"):
        client.datasets.send(folder, dataset, mode="replace", only_new=True, state_folder=state)


async def test_files_of_every_kind_come_back_as_they_are(
    system: System, folder: Path, state: Path, dataset: str
) -> None:
    content = {
        "blank.jsonl": b"\n\n",
        "crlf.jsonl": b'{"pk":"1"}\r\n{"pk":"2"}\r\n',
        "deep/er/\u00fcber @ #?%.jsonl": b'{"pk":"3"}',
        "empty.jsonl": b"",
        # A line that is longer than a part.
        "long.jsonl": b'{"pk":"4"}\n{"pk":"5","a":"%b"}\n{"pk":"6"}\n' % (b"x" * 9 * MIB),
    }
    for name, data in content.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    (folder / ".hidden.jsonl").write_bytes(b"{oops")
    (folder / "link.jsonl").symlink_to(folder / "crlf.jsonl")
    (folder / "links").symlink_to(folder / "deep")

    async with AsyncCrivo(system.url) as client:
        with pytest.raises(NothingToSend):
            await client.datasets.send(folder, dataset, include=["*.csv"], state_folder=state)
        sent = await client.datasets.send(folder, dataset, key="/pk", state_folder=state)
        files = [each.path async for each in client.datasets.files(dataset)]
        for name in files:
            chunks = [chunk async for chunk in client.datasets.file_chunks(dataset, name)]
            assert b"".join(chunks) == (folder / name).read_bytes()
        again = await client.datasets.send(
            folder / "crlf.jsonl", dataset, mode="replace", state_folder=state
        )
        pages = [line async for line in client.datasets.lines(dataset, page_size=1)]

    assert files == sorted([*content, "link.jsonl"])
    assert sent.left_out == [".hidden.jsonl", "links"]
    assert (sent.records, sent.parts) == (8, 8)
    assert (again.snapshot.number, again.snapshot.files, len(pages)) == (2, 1, 2)


def test_the_command_sums_up_what_it_sent(crivo: CrivoCommand, folder: Path, dataset: str) -> None:
    nothing = crivo("send", folder, dataset)
    (folder / "a.jsonl").write_bytes(b'{"pk":1}\n{"pk":1}\n\n{}\n')
    (folder / "b.jsonl").write_bytes(b'{"pk":2}\n{oops}\n')
    refused = crivo("send", folder, dataset, "--key", "/pk")
    (folder / "b.jsonl").write_bytes(b'{"pk":2}\n')
    done = crivo("send", folder, dataset, "--key", "/pk")
    other_key = crivo("send", folder, dataset, "--key", "/id")
    with (folder / "c.jsonl").open("wb") as file:
        file.write(records(range(20_000)))
    shown = crivo.in_terminal("send", folder, dataset)

    assert (nothing.code, "holds no files" in nothing.err) == (ExitCode.USAGE, True)
    assert refused.code == ExitCode.FAILED
    assert refused.err.splitlines()[0].startswith(f"{folder}/b.jsonl:2: error: not JSON")
    assert "bad lines    1" in refused.text
    assert done.code == 0
    assert done.text.splitlines() == [
        f"dataset      {dataset}@1",
        "files        2",
        "records      4",
        "bytes        31",
        "bad lines    0",
        "without key  1",
        "duplicates   1 within parts; across parts and files none are counted",
        "parts        2, sent now 1",
    ]
    assert (other_key.code, "key" in other_key.err) == (ExitCode.REFUSED, True)
    assert (shown.code, b"sending" in shown.out, b"MB/s" in shown.out) == (0, True, True)
