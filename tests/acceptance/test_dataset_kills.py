"""Every byte and record of a dataset arrives once, whichever process is killed."""

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.support.launcher_process import ROOT, LauncherProcess, eventually, free_port
from tests.support.part_sender import parts_of

FILES: Final = 12
LINES: Final = 2_000
# A victim for each number of parts that the upload holds.
VICTIMS: Final = {
    6: "client",
    14: "app.main",
    22: "client",
    30: "postgres",
    38: "app.main",
    46: "client",
    52: "app.worker",
}


@pytest.fixture
def launched(tmp_path: Path) -> Iterator[LauncherProcess]:
    """A system that is durable as shipped; its launcher restarts what dies."""
    with LauncherProcess(
        tmp_path / "data", free_port(), command=(sys.executable, "-m", "app.embedded")
    ) as running:
        yield running.wait_until_ready()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """60 MB of records, 2,400 bytes each, whose keys are in random order."""
    folder = tmp_path / "scores"
    folder.mkdir()
    numbers = list(range(FILES * LINES))
    random.Random(1).shuffle(numbers)  # noqa: S311 - a fixed order
    for file in range(FILES):
        mine = numbers[file * LINES : (file + 1) * LINES]
        records = ({"pk": f"k{n}", "text": f"{n:x}" * (2_360 // len(f"{n:x}"))} for n in mine)
        lines = [json.dumps(each) for each in records]
        (folder / f"{file:02}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder


def test_an_upload_survives_the_death_of_every_process(
    launched: LauncherProcess, folder: Path
) -> None:
    with httpx.Client(base_url=launched.url, timeout=30, trust_env=False) as client:
        assert client.put("/datasets/scores", json={"key": "/pk"}).status_code == 201
        upload = client.post("/datasets/scores/uploads", json={}).headers["Location"]
        sender = _sender(launched.url + upload, folder)
        try:
            for parts, victim in VICTIMS.items():
                eventually(lambda parts=parts: _held(client, upload) >= parts)  # type: ignore[misc] # a default
                if victim == "client":
                    sender.kill()
                    sender.wait()
                    sender = _sender(launched.url + upload, folder)
                else:
                    launched.child(victim).kill()
            assert sender.wait(120) == 0
        finally:
            sender.kill()
        _require_complete(client, folder)


def _require_complete(client: httpx.Client, folder: Path) -> None:
    snapshot = client.get("/datasets/scores").json()["latest_snapshot"]
    total = FILES * LINES
    assert (snapshot["number"], snapshot["files"]) == (1, FILES)
    assert (snapshot["lines"], snapshot["records"], snapshot["missing_keys"]) == (total, total, 0)
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        assert client.get(f"/datasets/scores/files/{path.name}").content == content
    for start in range(0, total, 1_000):
        keys = [f"k{n}" for n in range(start, start + 1_000)]
        found = client.post("/datasets/scores/records", json={"keys": keys})
        for key, line in zip(keys, found.text.splitlines(), strict=True):
            assert json.loads(line)["record"]["pk"] == key
    for file in client.get("/datasets/scores/files").json()["items"]:
        content = (folder / file["path"]).read_bytes()
        assert (file["parts"], file["duplicates"]) == (len(list(parts_of(content))), 0)


def _sender(upload: str, folder: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "tests.support.part_sender", upload, str(folder)]
    return subprocess.Popen(command, cwd=ROOT)


def _held(client: httpx.Client, upload: str) -> int:
    """Count the parts that the upload holds; 0 while nobody can say."""
    with suppress(httpx.TransportError):
        answer = client.get(upload)
        if answer.status_code == 200:
            document: dict[str, Any] = answer.json()
            return sum(len(file["parts"]) for file in document["files"])
    return 0
