"""The pool raises DatabaseUnavailable for errors of PostgreSQL, and for no others."""

import errno

import asyncpg
import pytest

from app.db import Pool, open_connection, open_pool
from app.outages import DatabaseFull, DatabaseUnavailable
from app.settings import Settings

_END_ITSELF = "SELECT pg_terminate_backend(pg_backend_pid())"


async def test_an_error_raised_in_the_block_passes_unchanged(pool: Pool) -> None:
    for own in (OSError(errno.ENOSPC, "No space left on device"), TimeoutError()):

        async def fail(error: OSError = own) -> None:
            async with pool.acquire() as conn:
                await conn.fetchval("SELECT 1")
                raise error

        with pytest.raises(OSError) as caught:  # noqa: PT011 - it is compared
            await fail()
        assert caught.value is own


async def test_a_connection_that_breaks_is_an_unavailable_database(pool: Pool) -> None:
    async with pool.acquire() as conn:
        with pytest.raises(DatabaseUnavailable, match="PostgreSQL does not answer: "):
            await conn.execute(_END_ITSELF)

    with pytest.raises(DatabaseUnavailable):
        async with pool.acquire() as conn, conn.transaction():
            await conn.execute(_END_ITSELF)

    assert await pool.fetchval("SELECT 1") == 1


async def test_a_connection_that_broke_between_two_statements_is_an_unavailable_database(
    pool: Pool,
) -> None:
    async def use_it_again() -> None:
        async with pool.acquire() as conn:
            with pytest.raises(DatabaseUnavailable):
                await conn.execute(_END_ITSELF)
            await conn.fetchval("SELECT 1")

    with pytest.raises(DatabaseUnavailable):
        await use_it_again()


async def test_a_mistake_of_the_caller_is_no_unavailable_database(pool: Pool) -> None:
    with pytest.raises(asyncpg.DataError, match="invalid input for query argument"):
        await pool.fetchval("SELECT $1::integer", "no number")
    with pytest.raises(asyncpg.UndefinedTableError):
        await pool.fetchval("SELECT FROM nowhere")


async def test_a_full_disk_is_reported_as_such(pool: Pool) -> None:
    with pytest.raises(DatabaseFull) as caught:
        await pool.execute("DO $$ BEGIN RAISE 'no room' USING ERRCODE = '53100'; END $$")
    assert (caught.value.status, caught.value.headers) == (507, {"Retry-After": "30"})


async def test_the_detail_for_clients_contains_no_address() -> None:
    elsewhere = Settings(database_url="postgresql://crivo@127.0.0.1:1/crivo")
    with pytest.raises(DatabaseUnavailable) as caught:
        async with open_pool(elsewhere):
            pass
    assert caught.value.detail == "PostgreSQL does not answer"
    assert "refused" in str(caught.value)
    with pytest.raises(DatabaseUnavailable):
        async with open_connection(elsewhere):
            pass
