"""Permanent faults are refused at start, in one line, with exit code 2."""

import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from app.embedded.binaries import find_redis, search_path
from tests.support.launcher_process import ROOT, eventually
from tests.support.servers import Servers, execute, with_database
from tests.support.system import System

ROLE: Final = "crivo_test_poor"


def _refused(system: System, module: str, *arguments: str, limit: int = 0) -> str:
    """Start a process that must refuse to start; return its error line."""

    def restrict() -> None:
        if limit:
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env=system.environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=restrict,
    )
    assert done.returncode == (1 if module == "alembic" else 2), done.stderr
    # Logs are JSON; the error line is not.
    plain = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert len(plain) == 1, done.stderr
    assert "Traceback" not in done.stderr
    return plain[0]


@pytest.fixture
def ascii_url(servers: Servers) -> Iterator[str]:
    name = f"{servers.prefix}_ascii"
    execute(
        servers.database_url,
        f"CREATE DATABASE \"{name}\" ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' "
        "LOCALE_PROVIDER 'libc' TEMPLATE template0",
    )
    yield with_database(servers.database_url, name)
    execute(servers.database_url, f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def poor_role(servers: Servers) -> Iterator[str]:
    """A role that can log in, without further privileges."""
    execute(servers.database_url, f"CREATE ROLE {ROLE} LOGIN PASSWORD '{ROLE}'")
    yield ROLE
    execute(servers.database_url, f"DROP ROLE {ROLE}")


def _as(role: str, url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{role}:{role}@{rest.rpartition('@')[2]}"


@pytest.mark.parametrize("module", ["app.main", "app.worker", "alembic"])
def test_a_database_of_another_encoding_is_refused_at_start(
    stopped_system: System, ascii_url: str, module: str
) -> None:
    stopped_system.environ["DATABASE_URL"] = ascii_url
    arguments = ("upgrade", "head") if module == "alembic" else ()
    line = _refused(stopped_system, module, *arguments)
    assert "the database's encoding is SQL_ASCII; Crivo needs UTF8" in line


def test_a_role_without_rights_is_refused_at_start(
    stopped_system: System, poor_role: str, empty_database_url: str
) -> None:
    system = stopped_system
    system.environ["DATABASE_URL"] = _as(poor_role, system.environ["DATABASE_URL"])
    assert "may not read and write the tables" in _refused(system, "app.worker")
    assert "permission denied" in _refused(system, "alembic", "upgrade", "head")

    system.environ["DATABASE_URL"] = _as(poor_role, empty_database_url)
    line = _refused(system, "alembic", "upgrade", "head")
    assert f"the role {poor_role} may not create tables in the schema public" in line


def test_a_read_only_database_is_refused_at_start(stopped_system: System) -> None:
    system = stopped_system
    name = system.environ["DATABASE_URL"].partition("?")[0].rpartition("/")[2]
    execute(
        system.environ["DATABASE_URL"],
        f'ALTER DATABASE "{name}" SET default_transaction_read_only = on',
    )
    assert "are read-only" in _refused(system, "app.worker")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"DATABASE_URL": "postgresql://u:hush@127.0.0.1:port/d"}, "DATABASE_URL cannot be read"),
        ({"DATABASE_URL": "postgresql://u:hush@127.0.0.1:1/d"}, "PostgreSQL does not answer: "),
        ({"REDIS_URL": "redis://:hush@127.0.0.1:port"}, "REDIS_URL cannot be read"),
        ({"BLOB_URL": "file:///proc/none"}, "the folder /proc/none of BLOB_URL cannot be written"),
        ({"BLOB_URL": "s3://"}, "BLOB_URL cannot be used"),
    ],
    ids=lambda value: next(iter(value.values())) if isinstance(value, dict) else "",
)
def test_a_wrong_address_is_refused(
    stopped_system: System, change: dict[str, str], expected: str
) -> None:
    stopped_system.environ.update(change)
    line = _refused(stopped_system, "app.worker")
    assert expected in line
    assert "hush" not in line


def test_a_missing_database_is_refused_at_start(stopped_system: System) -> None:
    url = stopped_system.environ["DATABASE_URL"]
    stopped_system.environ["DATABASE_URL"] = with_database(url, "nowhere")
    assert '"nowhere" does not exist' in _refused(stopped_system, "app.worker")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--requirepass", "hush"], "Redis says: Authentication required."),
        (["--replicaof", "127.0.0.1", "1", "--replica-serve-stale-data", "yes"], "read only"),
    ],
    ids=["password", "replica"],
)
def test_a_redis_that_refuses_writes_is_refused_at_start(
    stopped_system: System, tmp_path: Path, options: list[str], expected: str
) -> None:
    socket = tmp_path / "redis.sock"
    program = find_redis(search_path(), tmp_path)
    command = [str(program), "--port", "0", "--unixsocket", str(socket), "--save", "", *options]
    stopped_system.environ["REDIS_URL"] = f"unix://{socket}"
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL) as redis:
        try:
            eventually(socket.exists)
            assert expected in _refused(stopped_system, "app.worker")
        finally:
            redis.terminate()


@pytest.mark.parametrize("module", ["app.main", "app.worker"])
def test_an_address_space_that_v8_does_not_fit_in(stopped_system: System, module: str) -> None:
    line = _refused(stopped_system, module, limit=4 << 30)
    assert line.endswith(
        "V8 reserves more address space than the limit of 4194304 KiB allows; lift it "
        "(ulimit -v unlimited)"
    )


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("CRIVO_CALLBACK_PRIVATE_NETWORKS", "10.0.0.0/33"),
        ("HTTPS_PROXY", "socks5://127.0.0.1:1080"),
    ],
)
def test_callbacks_that_could_not_be_sent_are_refused_at_the_start(
    stopped_system: System, variable: str, value: str
) -> None:
    stopped_system.environ[variable] = value

    assert variable in _refused(stopped_system, "app.main", "--check")
