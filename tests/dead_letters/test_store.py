"""Dead letters keep events byte for byte, are marked by re-drives, and never lost or doubled."""

import asyncio
from uuid import UUID

import asyncpg
import pytest
import uuid_utils.compat as uuid
from hypothesis import HealthCheck, given, settings as hypothesis_settings, strategies as st
from msgspec import UNSET
from msgspec.structs import replace

from app.blobs import open_blobs
from app.db import Pool, open_pool
from app.dead_letters.letter_store import erase_events, select_event, select_letters
from app.dead_letters.model import FailedAgain, LetterFilter, LetterState
from app.dead_letters.retention import DEAD_LETTER_OWNER
from app.dead_letters.store import (
    insert_dead_letters,
    mark_dropped,
    mark_failed_again,
    mark_moved,
)
from app.limits import MIB
from app.payloads.model import StoredPayload
from app.payloads.retention import expire
from app.quotas.errors import QuotaExceeded
from app.redrives.letter_store import mark_letters, mark_retried, select_marked
from app.settings import Settings
from app.tenants.model import DEFAULT_TENANT
from tests.dead_letters.letters import Letters, dead, insert_pipe, letter
from tests.support.lock_waits import (
    begin_to_count_bytes,
    require_bytes_unlocked,
    until_one_waits,
)

REDRIVE = UUID(int=7)


@given(events=st.lists(st.binary(max_size=200), min_size=1, max_size=5))
@hypothesis_settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_bytes_come_out_as_they_went_in(letters: Letters, events: list[bytes]) -> None:
    names = [letter(number, event) for number, event in enumerate(events)]
    pipe = uuid.uuid7()
    async with letters.pool.acquire() as conn:
        added = await insert_dead_letters(conn, DEFAULT_TENANT, pipe, names)
        kept = await dead(conn, LetterFilter(pipe_id=pipe))
        shown = await select_letters(conn, DEFAULT_TENANT, [e.id for e in kept], with_events=True)
        stored = [await select_event(conn, DEFAULT_TENANT, each.id) for each in kept]

    assert added == len(events)
    assert [each.event for each in kept] == events
    assert [each.event for each in shown] == events
    assert [each.body for each in stored if isinstance(each, StoredPayload)] == events


async def test_an_event_is_kept_once_and_other_bytes_under_its_id_are_another(
    letters: Letters,
) -> None:
    assert await letters.insert([letter(1), letter(2)]) == 2
    assert await letters.insert([letter(2), letter(3)]) == 1
    # A stream that was made anew may number its entries as the one before did.
    assert await letters.insert([letter(3, b"other")]) == 1
    # Twice in one batch, as queues do.
    assert await letters.insert([letter(4), letter(4)]) == 1

    assert len(await letters.ids()) == 5
    await letters.require_counted()


async def test_ten_thousand_letters_are_inserted_at_once_and_found_in_steps(
    letters: Letters,
) -> None:
    many = [letter(number) for number in range(10_000)]
    assert await letters.insert(many) == 10_000
    await letters.require_counted()

    found: list[bytes | None] = []
    async with letters.pool.acquire() as conn:
        ids = [each.id for each in await dead(conn, LetterFilter())]
        assert await mark_letters(conn, DEFAULT_TENANT, REDRIVE, ids) == 10_000
        while step := await select_marked(
            conn, DEFAULT_TENANT, REDRIVE, limit=3_000, max_bytes=8 * MIB
        ):
            found += [each.event for each in step]
            await mark_retried(conn, DEFAULT_TENANT, REDRIVE, [each.id for each in step])
    assert found == [each.event for each in many]


async def test_a_step_of_a_redrive_is_bounded_in_bytes_and_has_one_letter_at_least(
    letters: Letters,
) -> None:
    await letters.insert([letter(number, b"x" * 1_000 + b"%d" % number) for number in range(5)])

    async with letters.pool.acquire() as conn:
        await mark_letters(conn, DEFAULT_TENANT, REDRIVE, await letters.ids())
        two, one = [
            await select_marked(conn, DEFAULT_TENANT, REDRIVE, limit=9, max_bytes=size)
            for size in (2_000, 1)
        ]
    assert (len(two), len(one)) == (2, 1)


async def test_redrives_mark_letters_and_lose_none(letters: Letters) -> None:
    await letters.insert([letter(number) for number in range(5)])
    moved, again, erased, left, dropped = await letters.ids()
    failure = FailedAgain(
        id=again, kind="script_error", error=b'{"kind":"script_error","message":"worse"}'
    )
    async with letters.pool.acquire() as conn:
        assert await erase_events(conn, DEFAULT_TENANT, [erased]) == 1
        assert await mark_moved(conn, DEFAULT_TENANT, REDRIVE, [moved, erased]) == 1
        assert await mark_moved(conn, DEFAULT_TENANT, REDRIVE, [moved]) == 0
        assert await mark_dropped(conn, DEFAULT_TENANT, REDRIVE, [dropped, erased]) == 1
        late = replace(failure, id=moved)
        assert await mark_failed_again(conn, DEFAULT_TENANT, REDRIVE, [failure, late]) == 1

        remaining = await dead(conn, LetterFilter())
        shown = await select_letters(conn, DEFAULT_TENANT, [moved, again], with_events=True)

    assert [each.id for each in remaining] == [again, left]
    was_moved, failed_again = (each.letter for each in shown)
    assert (was_moved.state, was_moved.redrive, was_moved.attempts) == ("moved", REDRIVE, 2)
    assert shown[0].event == b'{"number": 0}'
    assert was_moved.moved_at
    assert (failed_again.state, failed_again.kind, failed_again.attempts) == (
        LetterState.DEAD,
        "timeout",
        2,
    )
    # Why the pipe has failed stays beside it.
    assert bytes(failed_again.error) == letter(1).error
    last = failed_again.last_failure
    assert last is not UNSET
    assert (last.kind, bytes(last.error)) == ("script_error", failure.error)
    assert failed_again.last_failed_at > failed_again.first_failed_at
    # Delivered again by its source, an event that is moved or erased stays so.
    assert await letters.insert([letter(0), letter(2), letter(4)]) == 0
    await letters.require_counted()
    async with letters.pool.acquire() as conn:
        assert await erase_events(conn, DEFAULT_TENANT, [moved, erased, again, dropped]) == 3
        [gone] = await select_letters(conn, DEFAULT_TENANT, [again])
    last = gone.letter.last_failure
    assert last is not UNSET
    assert b"worse" not in bytes(last.error)
    await letters.require_counted()


async def test_counts_change_behind_the_counter_of_bytes_where_no_byte_does(
    letters: Letters,
) -> None:
    await letters.insert([letter(1)])
    await begin_to_count_bytes(letters.pool)
    async with letters.pool.acquire() as conn, conn.transaction():
        await mark_moved(conn, DEFAULT_TENANT, REDRIVE, await letters.ids())
        async with letters.pool.acquire() as other:
            with pytest.raises(asyncpg.LockNotAvailableError):
                await require_bytes_unlocked(other)


async def test_another_tenant_finds_and_changes_nothing(letters: Letters) -> None:
    await letters.insert([letter(1)])
    ids, stranger = await letters.ids(), uuid.uuid7()
    failure = FailedAgain(id=ids[0], kind="timeout", error=b"{}")

    async with letters.pool.acquire() as conn:
        assert await dead(conn, LetterFilter(pipe_id=letters.pipe), stranger) == []
        assert await mark_moved(conn, stranger, REDRIVE, ids) == 0
        assert await mark_failed_again(conn, stranger, REDRIVE, [failure]) == 0
        assert await erase_events(conn, stranger, ids) == 0
        assert await select_letters(conn, stranger, ids) == []
        assert await select_event(conn, stranger, ids[0]) is None
        assert len(await dead(conn, LetterFilter())) == 1


async def test_letters_at_once_fill_a_quota_and_do_not_pass_it(
    pool: Pool, settings: Settings
) -> None:
    size = len(letter(0, b"x" * 100).event) + len(letter(0).error)
    await pool.execute("UPDATE tenants SET max_stored_bytes = $1", 5 * size)
    async with open_pool(replace(settings, db_pool_size=12)) as wide:
        async with wide.acquire() as conn:
            pipes = [await insert_pipe(conn, f"p-{number}") for number in range(12)]
        done = await asyncio.gather(
            *(Letters(wide, pipe).insert([letter(0, b"x" * 100)]) for pipe in pipes),
            return_exceptions=True,
        )

    refusals = [each for each in done if isinstance(each, QuotaExceeded)]
    assert (done.count(1), len(refusals)) == (5, 7)
    letters = Letters(pool, pipes[0])
    assert await letters.usage() == (5 * size, 5 * size)
    assert (refusals[0].quota, refusals[0].limit) == ("stored-bytes", 5 * size)
    # What is there already needs no room.
    kept = pipes[done.index(1)]
    assert await Letters(pool, kept).insert([letter(0, b"x" * 100)]) == 0


async def test_an_insertion_waits_for_letters_that_are_not_committed(
    pool: Pool, letters: Letters
) -> None:
    size = len(letter(1).event) + len(letter(1).error)
    await pool.execute("UPDATE tenants SET max_stored_bytes = $1", size)

    async with pool.acquire() as conn:
        async with conn.transaction():
            await insert_dead_letters(conn, DEFAULT_TENANT, letters.pipe, [letter(1)])
            second = asyncio.create_task(letters.insert([letter(2)]))
            await until_one_waits(pool, second)
        with pytest.raises(QuotaExceeded):
            await second
    assert await letters.usage() == (size, size)


async def test_a_refused_insertion_keeps_nothing_and_leaves_the_transaction_usable(
    letters: Letters,
) -> None:
    await letters.pool.execute("UPDATE tenants SET max_stored_bytes = 100")

    async with letters.pool.acquire() as conn, conn.transaction():
        with pytest.raises(QuotaExceeded):
            await insert_dead_letters(
                conn, DEFAULT_TENANT, letters.pipe, [letter(1), letter(2, b"x" * 100)]
            )
        await conn.execute(
            "UPDATE pipes SET trouble = 'no room', trouble_since = now() WHERE id = $1",
            letters.pipe,
        )

    assert await letters.ids() == []
    assert await letters.usage() == (0, 0)
    assert await letters.pool.fetchval("SELECT trouble FROM pipes") == "no room"


async def test_age_deletes_letters_in_steps_and_0_keeps_them(
    letters: Letters, settings: Settings
) -> None:
    await letters.insert([letter(number) for number in range(450)])
    old = (await letters.ids())[:420]
    async with letters.pool.acquire() as conn:
        await mark_moved(conn, DEFAULT_TENANT, REDRIVE, old[:10])
        await erase_events(conn, DEFAULT_TENANT, old[10:20])
    await letters.pool.execute(
        "UPDATE dead_letters SET failed_at = now() - interval '31 days' WHERE id = ANY ($1)", old
    )
    blobs = open_blobs(settings)

    never = replace(settings, dead_letter_days=0)
    await expire(letters.pool, blobs, never, (DEAD_LETTER_OWNER,))
    assert len(await letters.ids()) == 450
    await expire(letters.pool, blobs, settings, (DEAD_LETTER_OWNER,))
    assert len(await letters.ids()) == 30
    await letters.require_counted()
