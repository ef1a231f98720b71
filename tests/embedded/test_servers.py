"""Embedded servers run as real processes, recover and die with their parent."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import asyncpg
import psutil
import pytest

from app.embedded import postgres
from app.embedded.binaries import choose_postgres, find_postgres
from app.embedded.errors import CannotStart, ServiceFailed
from app.embedded.identity import Identity, choose_identity
from app.embedded.postgres import create_cluster, database_url, postgres_service
from app.embedded.processes import await_ready, spawn, stop
from app.embedded.servers import embedded_servers
from app.embedded.sockets import socket_folder
from tests.support.launcher_process import eventually, gone, runs

NOBODY = 65_534


@pytest.fixture
def data(tmp_path: Path) -> Path:
    home = tmp_path / "a closed home"
    home.mkdir(mode=0o700)
    return home / ("long " * 20).strip()


async def ask(url: str, sql: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


@pytest.mark.parametrize("version", [16, 18])
async def test_both_servers_run_on_a_private_long_path_with_spaces(
    data: Path, version: int
) -> None:
    with embedded_servers(data, postgres_version=version, durable=False) as servers:
        server_version = await ask(servers.database_url, "SHOW server_version_num")
        assert str(server_version).startswith(str(version))
        assert await ask(servers.database_url, "SHOW listen_addresses") == ""
        assert servers.redis_url.startswith("unix:///")
        await ask(servers.database_url, "CREATE TABLE kept (n int)")
    # The existing cluster keeps its version, though none is requested.
    with embedded_servers(data, durable=False) as servers:
        assert await ask(servers.database_url, "SELECT count(*) FROM kept") == 0


async def test_text_sorts_by_code_point_in_utf_8(data: Path) -> None:
    with embedded_servers(data, postgres_version=18, durable=False) as servers:
        assert await ask(servers.database_url, "SHOW server_encoding") == "UTF8"
        assert await ask(servers.database_url, "SELECT 'a' > 'B' AND upper('é') = 'É'") is True


async def test_an_interrupted_creation_is_repeated(data: Path) -> None:
    data.mkdir()
    (data / "postgres.new" / "base").mkdir(parents=True)
    (data / "postgres.new" / "PG_VERSION").write_text("18\n")
    with embedded_servers(data, durable=False) as servers:
        assert await ask(servers.database_url, "SELECT 1") == 1
    assert not (data / "postgres.new").exists()


async def test_a_stale_pid_file_does_not_block_a_start(data: Path) -> None:
    with embedded_servers(data, durable=False):
        left = (data / "postgres" / "postmaster.pid").read_text().splitlines()
    # The pid of the crashed server now belongs to another program: this one.
    text = "\n".join([str(os.getpid()), *left[1:]])
    (data / "postgres" / "postmaster.pid").write_text(f"{text}\n")
    with embedded_servers(data, durable=False) as servers:
        assert await ask(servers.database_url, "SELECT 1") == 1


async def test_a_server_starts_only_after_the_last_process_of_its_predecessor(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with embedded_servers(data, durable=False):
        first = int((data / "postgres" / "postmaster.pid").read_text().split("\n", 1)[0])
        checkpointer = psutil.Process(first).children()[0]
        checkpointer.suspend()
        os.kill(first, signal.SIGKILL)
    try:
        monkeypatch.setattr(postgres, "_LAST_SERVER_GONE_SECONDS", 0.2)
        with (
            pytest.raises(ServiceFailed, match="still runs"),
            embedded_servers(data, durable=False),
        ):
            pass
    finally:
        checkpointer.resume()
    monkeypatch.undo()
    with embedded_servers(data, durable=False) as servers:
        assert not runs(checkpointer)
        assert await ask(servers.database_url, "SELECT 1") == 1


_RUN = """
import sys
from pathlib import Path
from app.embedded.servers import embedded_servers
with embedded_servers(Path(sys.argv[1]), durable=False):
    print("up", flush=True)
    if len(sys.argv) > 2:
        sys.stdin.read()
"""


def test_servers_die_with_the_process_that_started_them(data: Path) -> None:
    command = [sys.executable, "-c", _RUN, str(data), "wait"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"up\n"
        servers = psutil.Process(owner.pid).children(recursive=True)
        assert len(servers) > 2
        owner.kill()
    eventually(lambda: gone(servers))


def test_a_server_that_cannot_start_is_reported_with_its_log(data: Path) -> None:
    with embedded_servers(data, durable=False):
        pass
    (data / "postgres" / "global" / "pg_control").unlink()
    with (
        pytest.raises(ServiceFailed, match=r"(?s)PostgreSQL ended with exit code 2.*pg_control"),
        embedded_servers(data, durable=False),
    ):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
def test_root_without_namespaces_runs_postgres_as_nobody() -> None:
    # Not in tmp_path, whose parents `nobody` cannot access.
    data = Path(tempfile.mkdtemp())
    try:
        candidates = find_postgres([Path("/usr/local/bin"), Path("/usr/bin")])
        programs = choose_postgres(candidates, None)
        nobody = Identity(f"{NOBODY}:{NOBODY}", NOBODY, NOBODY)
        data.chmod(0o711)
        cluster = data / "postgres"
        # Created in a namespace by an earlier start, then taken over.
        create_cluster(programs, cluster, choose_identity(data, programs.folder))
        create_cluster(programs, cluster, nobody)
        sockets = socket_folder(data, NOBODY)
        service = postgres_service(
            programs, data=cluster, sockets=sockets, log=data / "log", identity=nobody
        )
        running = [(service, spawn(service))]
        try:
            await_ready(running)
            assert psutil.Process(running[0][1].pid).uids().real == NOBODY
            assert asyncio.run(ask(database_url(sockets), "SELECT 1")) == 1
        finally:
            stop(running)
    finally:
        shutil.rmtree(data)


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user runs PostgreSQL itself")
def test_root_without_namespaces_on_a_private_path_is_refused(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data.mkdir()
    programs = find_postgres([])[0]
    # Stands in for a system that refuses namespaces, since this one may allow them.
    monkeypatch.setattr("app.embedded.identity.NAMESPACE", str(NOBODY) + ":" + str(NOBODY))
    with pytest.raises(CannotStart, match="DATABASE_URL"):
        choose_identity(data, programs.folder)
