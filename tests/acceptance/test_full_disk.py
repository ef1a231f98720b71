"""The launcher on a full disk, where PostgreSQL cannot write its WAL."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest

from tests.support.disks import SmallDisk, small_disk
from tests.support.launcher_process import LauncherProcess, eventually, free_port

MIB: Final = 1 << 20
DATA: Final = b'"' + b"x" * 900_000 + b'"'


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", size_bytes=192 * MIB) as disk:
        yield disk


def test_the_launcher_waits_for_postgresql_on_a_full_disk(disk: SmallDisk) -> None:
    with (
        LauncherProcess(
            disk.folder / "data", free_port(), command=(sys.executable, "-m", "app.embedded")
        ) as launched,
        httpx.Client(base_url=launched.url, timeout=60, trust_env=False) as client,
    ):
        launched.wait_until_ready()
        upload = {"name": "one", "source": "const process = data => 1"}
        assert client.post("/scripts", json=upload).status_code == 201
        # Less than one WAL segment, which PostgreSQL creates as a whole.
        disk.fill(leave_bytes=12 * MIB)
        accepted: list[str] = []

        def refused() -> bool:
            answer = client.post("/scripts/one/executions", content=DATA)
            if answer.status_code == 202:
                accepted.append(answer.headers["Location"])
                return False
            # 507: tables can no longer grow, before the WAL is full.
            assert answer.status_code in (503, 507), answer.text
            assert answer.headers["Retry-After"]
            return answer.status_code == 503

        eventually(refused)
        eventually(lambda: "PostgreSQL has no disk space left" in launched.output)
        postgres = disk.folder / "data" / "log" / "postgres.log"
        eventually(lambda: postgres.read_text().count("database system is shut down") > 6)
        assert client.get("/health/ready").json()["missing"] == ["PostgreSQL does not answer"]
        answer = client.post("/scripts/one/executions", content=b"1")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")

        disk.make_room()

        eventually(lambda: client.get("/health/ready").status_code == 200)

        def ended() -> bool:
            found = [client.get(location).json() for location in accepted]
            return all(each["finished_at"] for each in found)

        eventually(ended)
        receipts = [client.get(location).json()["receipt"] for location in accepted]
        assert {each["attempts"] for each in receipts} <= {1}
        assert launched.output.count("no disk space left") == 1
        assert "PostgreSQL works again" in launched.output
