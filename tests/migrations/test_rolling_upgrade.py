"""Two releases run side by side: this schema serves the processes of the last release, too.

Always tested: the recorded statements of the last release fit this schema with the same types of
parameters and columns, and an execution that one release accepts can be run by the other. This does
not cover the last release's Python code nor what it keeps in Redis and in the blob store.

Tested where git has the commit of the last release: its own API and worker run before, during and
after the migration, beside those of this release.
"""

import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec
import pytest
import uuid_utils.compat as uuid
from msgspec.structs import astuple

from app.db import SCHEMA_REVISION, Connection, Pool, SchemaMissing, open_pool
from app.executions import acceptance, store
from app.executions.dispatch import claims
from app.executions.model import Receipt, Status
from app.limits import LimitChoice
from app.payloads.writer import stored_inline
from app.quotas.model import Caps
from app.scripts import store as scripts
from app.scripts.refs import ScriptRef
from app.settings import Settings
from app.tenants.model import DEFAULT_TENANT as TENANT
from tests.migrations.record_release import describe, git, newest_release
from tests.support.queues import POLICY, SUCCESS
from tests.support.servers import ROOT, Servers, alembic, execute, redis_database
from tests.support.system import System, open_system, stop

RELEASE: Final = newest_release()
PAYLOAD: Final = stored_inline(b"1")
# With these, acceptances, uploads and outcomes call the functions that check quotas.
QUOTAS: Final = {
    "CRIVO_DEFAULT_MAX_QUEUED": "100",
    "CRIVO_DEFAULT_MAX_STORED_BYTES": "100000000",
    "CRIVO_DEFAULT_MAX_BYTES_PER_DAY": "100000000",
    "CRIVO_DEFAULT_MAX_SCRIPTS": "10",
    "CRIVO_DEFAULT_MAX_VERSIONS": "10",
}


@pytest.mark.parametrize("name", RELEASE.statements)
async def test_a_statement_of_the_last_release_fits_this_schema(pool: Pool, name: str) -> None:
    expected = RELEASE.statements[name]

    async with pool.acquire() as connection:
        actual = await describe(connection, expected.text)

    assert actual == expected


@pytest.mark.parametrize("accepts", ["old", "new"])
@pytest.mark.parametrize("runs", ["old", "new"])
async def test_releases_share_an_execution(pool: Pool, accepts: str, runs: str) -> None:
    async with pool.acquire() as conn:
        script = uuid.uuid7()
        await scripts.insert_script(conn, TENANT, script, name="shared", description="")
        await scripts.insert_version(
            conn, TENANT, script, source=b"x", limits=LimitChoice(), note=""
        )
        execution, accept = uuid.uuid7(), {"old": _accept_as_0_1_0, "new": _accept}[accepts]
        await accept(conn, script, execution)
        # One worker claims and reports, so both are of one release.
        if runs == "old":
            await _finish_as_0_1_0(conn, execution, await _claim_as_0_1_0(conn))
        else:
            [claim] = (await claims.claim(conn, uuid.uuid7(), limit=1, lease_seconds=60)).executions
            assert await claims.finish(conn, claim, SUCCESS) is not None
        assert await store.select_status(conn, TENANT, execution) is Status.SUCCEEDED
        found = await store.select_execution(conn, TENANT, execution)
        # What a worker of the last release did not report is unknown.
        unknown = runs == "old"
        assert found is not None
        assert isinstance(found.receipt, Receipt)
        assert found.receipt.isolation == (None if unknown else SUCCESS.isolation)


async def test_a_newer_schema_is_accepted(settings: Settings, fresh_urls: tuple[str, str]) -> None:
    on_fresh = msgspec.structs.replace(settings, database_url=fresh_urls[0])
    async with open_pool(on_fresh) as pool:
        await pool.execute("UPDATE alembic_version SET version_num = '9999'")

    async with open_pool(on_fresh) as pool:
        assert await pool.fetchval("SELECT version_num FROM alembic_version") == "9999"


def test_a_newer_schema_is_left_alone(fresh_urls: tuple[str, str]) -> None:
    execute(fresh_urls[0], "UPDATE alembic_version SET version_num = '9999'")

    line = f"crivo: the database is at revision 9999, newer than this release's {SCHEMA_REVISION}"
    up = _run_alembic(ROOT, fresh_urls[0], "upgrade", "head")
    down = _run_alembic(ROOT, fresh_urls[0], "downgrade", "0001")

    assert (up.returncode, up.stderr) == (0, f"{line}: there is nothing to migrate\n")
    assert (down.returncode, down.stderr) == (1, f"{line}, which cannot do this\n")


async def test_an_older_schema_is_refused(settings: Settings, empty_database_url: str) -> None:
    alembic(empty_database_url, "upgrade", RELEASE.schema_revision)

    with pytest.raises(SchemaMissing, match="run `python -m alembic upgrade head`"):
        async with open_pool(msgspec.structs.replace(settings, database_url=empty_database_url)):
            pass


def test_processes_of_both_releases_run_through_an_upgrade(
    servers: Servers, empty_database_url: str, tmp_path: Path, last_release: Path
) -> None:
    with ExitStack() as stack:
        redis_url = stack.enter_context(redis_database(servers))
        old, new = (
            stack.enter_context(_system(empty_database_url, redis_url, tmp_path, name))
            for name in ("old", "new")
        )
        old.root = last_release
        done = _run_alembic(last_release, empty_database_url, "upgrade", "head")
        assert done.returncode == 0, done.stderr
        old.start()
        old.upload("double", "function process(data) { return data.n * 2 }")
        _assert_doubles(old)

        # The old processes keep their connections and prepared statements.
        alembic(empty_database_url, "upgrade", "head")
        _assert_doubles(old)
        old.upload("after", "function process(data) { return data.n * 2 }")

        # The new API's executions run on the old worker.
        new.start_api()
        new.await_api()
        _assert_doubles(new)

        # The old API's executions run on the new worker.
        new.start_worker()
        new.await_ready()
        stop(old.workers.pop())
        _assert_doubles(old)

        # A worker of the old release can still start, and runs what the new API accepts.
        stop(new.workers.pop())
        old.start_worker()
        _assert_doubles(new)


@pytest.fixture
def last_release(tmp_path: Path) -> Path:
    """The code of the last release, in a folder of its own."""
    try:
        archive = git("archive", RELEASE.commit, "app", "migrations", "pyproject.toml")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip(f"git does not have the commit of release {RELEASE.version}")
    folder = tmp_path / "last-release"
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")
    return folder


@contextmanager
def _system(database_url: str, redis_url: str, folder: Path, name: str) -> Iterator[System]:
    (folder / name).mkdir()
    with open_system(
        database_url=database_url, redis_url=redis_url, folder=folder / name
    ) as system:
        system.environ |= {**QUOTAS, "BLOB_URL": (folder / "blobs").as_uri()}
        yield system


def _assert_doubles(system: System) -> None:
    for number in range(3):
        execution = system.run("double", b'{"n": %d}' % number)
        assert execution["status"] == "succeeded", execution
        assert execution["result"] == 2 * number


def _run_alembic(root: Path, url: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "alembic", *arguments],
        cwd=root,
        env={**os.environ, "DATABASE_URL": url},
        capture_output=True,
        text=True,
        check=False,
    )


def _statement(name: str) -> str:
    return RELEASE.statements[f"app.executions.{name}"].text


async def _accept(conn: Connection, script: UUID, execution: UUID) -> None:
    await acceptance.insert_execution(
        conn,
        TENANT,
        execution,
        ref=ScriptRef(script=script, selector=1),
        chosen=LimitChoice(),
        policy=POLICY,
        seed=1,
        labels={},
        payload=PAYLOAD,
        caps=Caps(max_queued=100),
    )


# The parameters as release 0.1.0 sends them, by position.
async def _accept_as_0_1_0(conn: Connection, script: UUID, execution: UUID) -> None:
    row = await conn.fetchrow(
        _statement("acceptance.INSERT_EXECUTION"),
        TENANT,
        *(script, None, 1, None),
        execution,
        *(None, None, None, None),
        *(POLICY.default_wall_ms, POLICY.default_memory_bytes),
        *astuple(POLICY.ceilings),
        *({}, 1, 0, None),
        *(PAYLOAD.sha256, PAYLOAD.size_bytes, PAYLOAD.body, PAYLOAD.blob_key),
        *(100, None, None),
        *(15.0, None, None),
    )
    assert row is not None
    assert (row["version"], row["quota"]) == (1, None)


async def _claim_as_0_1_0(conn: Connection) -> int:
    row = await conn.fetchrow(
        _statement("dispatch.claims.CLAIM"),
        *(uuid.uuid7(), 1, 60.0, None, [], [], None, None, 0, False),
    )
    assert row is not None
    token: int = row["lease_token"]
    return token


async def _finish_as_0_1_0(conn: Connection, execution: UUID, token: int) -> None:
    row = await conn.fetchrow(
        _statement("dispatch.claims.FINISH"),
        *(execution, token, "succeeded", None, None, "1", 1.0, 1.0, 1),
        *(PAYLOAD.sha256, PAYLOAD.size_bytes, PAYLOAD.body, PAYLOAD.blob_key),
        *(None, None, None, None),
        None,
    )
    assert row is not None
    assert row["finished_at"] is not None
