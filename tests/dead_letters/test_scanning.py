"""A scan finds what matches, whatever its windows, and reads a bounded number of letters."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from app.db import Connection, Pool
from app.dead_letters import retention, scanning
from app.dead_letters.letter_store import SELECT_COUNTS, select_counts
from app.dead_letters.model import FailedAgain, LetterFilter, LetterState, NewDeadLetter
from app.dead_letters.pointers import pointer_hash, pointer_hashes
from app.dead_letters.scanning import OLDEST, scan_window
from app.dead_letters.store import mark_failed_again, mark_moved
from app.pagination import FIRST
from app.sql_parameters import parameter_names
from app.tenants.model import DEFAULT_TENANT
from tests.dead_letters.letters import Letters, insert_pipe, letter

ONE, OTHER = UUID(int=1), UUID(int=2)


def _letters() -> list[NewDeadLetter]:
    made = []
    for number in range(24):
        plain = letter(
            number,
            b'{\n"number": 1}' if number % 4 == 0 else None,
            pointer=f"/{number % 3}" if number % 2 else None,
            kind="timeout" if number % 5 else "script_error",
        )
        versions = {"schema": (ONE, 1 + number % 2), "script": (OTHER, 1)} if number < 12 else {}
        made.append(
            NewDeadLetter(**{f: getattr(plain, f) for f in plain.__struct_fields__} | versions)
        )
    return made


async def _scan(
    conn: Connection, wanted: LetterFilter, *, newest_first: bool, window_letters: int
) -> list[UUID]:
    found: list[UUID] = []
    position: UUID | None = FIRST if newest_first else OLDEST
    while position is not None:
        window = await scan_window(
            conn,
            DEFAULT_TENANT,
            wanted,
            position=position,
            limit=2,
            newest_first=newest_first,
            window_letters=window_letters,
        )
        found += window.ids
        position = window.next_position
    return found


async def test_each_filter_finds_what_matches_in_both_orders(letters: Letters) -> None:
    made = _letters()
    await letters.insert(made)
    ids = await letters.ids()
    async with letters.pool.acquire() as conn:
        elsewhere = Letters(letters.pool, await insert_pipe(conn, "elsewhere"))
        await elsewhere.insert([letter(100)])
        await mark_moved(conn, DEFAULT_TENANT, ONE, ids[:6])
        again = letter(0, pointer="/again", kind="invalid_result")
        failure = FailedAgain(
            id=ids[20], kind=again.kind, error=again.error, schema=(ONE, 3), script=(ONE, 1)
        )
        await mark_failed_again(conn, DEFAULT_TENANT, ONE, [failure])
    late = await letters.pool.fetchval(
        "UPDATE dead_letters SET created_at = created_at + interval '1 min' WHERE id = $1 "
        "RETURNING created_at",
        ids[-1],
    )
    foreign = (await letters.ids())[-1]

    def those(matches: Any) -> list[UUID]:  # noqa: ANN401 - a condition on a number and a letter
        return [ids[n] for n, each in enumerate(made) if matches(n, each)]

    expected: list[tuple[LetterFilter, list[UUID]]] = [
        (LetterFilter(), [*ids, foreign]),
        (LetterFilter(pipe_id=letters.pipe), ids),
        (LetterFilter(kind="script_error"), those(lambda n, _: n % 5 == 0)),
        (LetterFilter(state=LetterState.MOVED), ids[:6]),
        (LetterFilter(state=LetterState.DEAD), [*ids[6:], foreign]),
        (LetterFilter(pipe_id=letters.pipe, state=LetterState.DEAD), ids[6:]),
        (LetterFilter(schema=(ONE, None)), [*ids[:12], ids[20]]),
        (LetterFilter(schema=(ONE, 2)), those(lambda n, _: n < 12 and n % 2)),
        (LetterFilter(schema=(OTHER, None)), []),
        (LetterFilter(script=(OTHER, 1)), ids[:12]),
        (LetterFilter(script=(OTHER, 2)), []),
        (LetterFilter(pointer="/1"), those(lambda n, _: n % 2 and n % 3 == 1)),
        (LetterFilter(pointer="/9"), []),
        # By its first failure and by its last one, and not by both mixed.
        (LetterFilter(kind="invalid_result", pointer="/again", schema=(ONE, 3)), [ids[20]]),
        (LetterFilter(kind="script_error", pointer="/again"), []),
        (LetterFilter(has_line_feed=True), those(lambda n, _: n % 4 == 0)),
        (LetterFilter(created_from=late), [ids[-1]]),
        (LetterFilter(created_before=late), [*ids[:-1], foreign]),
        (LetterFilter(created_from=late + timedelta(days=1)), []),
        (LetterFilter(pointer="/1", schema=(ONE, 2), state=LetterState.MOVED), [ids[1]]),
    ]
    async with letters.pool.acquire() as conn:
        for wanted, found in expected:
            for window in (3, 5, 1_000):
                old = await _scan(conn, wanted, newest_first=False, window_letters=window)
                new = await _scan(conn, wanted, newest_first=True, window_letters=window)
                assert (wanted, old, new) == (wanted, found, found[::-1])
        counts = await select_counts(conn, DEFAULT_TENANT, letters.pipe)
        none = await select_counts(conn, DEFAULT_TENANT, ONE)
    assert (sum(each.dead for each in counts), none) == (18, [])


def test_pointers_are_hashed_whatever_characters_they_have() -> None:
    pointers = ["", "/a", "/\x00", "/\ud800", "/a", "/é"]
    error = json.dumps({"schema_errors": [{"pointer": each} for each in pointers]}).encode()

    assert pointer_hashes(error) == sorted({pointer_hash(each) for each in pointers})
    assert pointer_hashes(b'{"kind":"timeout","message":"x"}') == []


_SCANS = {
    name: text
    for name, text in vars(scanning).items()
    if name.startswith("SCAN_") and "SELECT" in text
}
_FILL = """
INSERT INTO dead_letters
       (id, tenant_id, pipe_id, event_id, kind, error, event, sha256, size_bytes, has_line_feed,
        state, moved_at)
SELECT lpad(to_hex(n), 32, '0')::uuid, $1, ($2::uuid[])[n % 4 + 1], n::text, 'timeout', '{}', '1',
       sha256('1'), 1, false, CASE WHEN n % 3 = 0 THEN 'dead' ELSE 'moved' END,
       CASE WHEN n % 3 > 0 THEN now() END
FROM generate_series(1, 30000) AS n
"""


async def test_a_window_is_read_in_the_order_of_an_index_of_its_letters_only(
    letters: Letters,
) -> None:
    pipes = [letters.pipe, *(UUID(int=number) for number in range(3))]
    arguments = ["NULL"] * len(parameter_names(scanning.SCAN_OLDEST))
    arguments[:2] = f"'{DEFAULT_TENANT}'", f"'{letters.pipe}'"
    arguments[13:] = f"'{OLDEST}'", f"'{FIRST}'", "10000", "51"
    async with letters.pool.acquire() as conn, conn.transaction():
        await conn.execute("SET LOCAL session_replication_role = replica")
        await conn.execute(_FILL, DEFAULT_TENANT, pipes)
        await conn.execute("ANALYZE dead_letters")
        await conn.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        for name, statement in _SCANS.items():
            of_pipe, dead = "OF_PIPE" in name, "DEAD" in name
            index = {
                (False, False): "dead_letters_pkey",
                (False, True): "dead_letters_dead_idx",
                (True, False): "dead_letters_pipe_idx",
                (True, True): "dead_letters_dead_of_pipe_idx",
            }[of_pipe, dead]
            await conn.execute(f"PREPARE planned AS {statement}")
            rows = await conn.fetch(f"EXPLAIN (COSTS OFF) EXECUTE planned({', '.join(arguments)})")
            await conn.execute("DEALLOCATE planned")

            plan = "\n".join(row[0] for row in rows)
            scanned = plan.partition("CTE scanned")[2].partition("CTE ")[0]
            assert f"using {index} on" in scanned, (name, plan)
            # Nothing is sorted, and nothing is read that is not of the window.
            assert "Sort" not in scanned, (name, plan)
            assert "Filter" not in scanned, (name, plan)


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        (retention.DELETE_LETTERS, "dead_letters_age_idx"),
        (SELECT_COUNTS, "dead_letter_counts_pkey"),
    ],
)
async def test_an_index_finds_the_rows(pool: Pool, statement: str, index: str) -> None:
    async with pool.acquire() as conn, conn.transaction():
        await conn.execute("SET LOCAL enable_seqscan = off")
        await conn.execute("SET LOCAL enable_bitmapscan = off")
        await conn.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        await conn.execute(f"PREPARE planned AS {statement}")
        rows = await conn.fetch("EXPLAIN (COSTS OFF) EXECUTE planned(NULL, NULL)")
        await conn.execute("DEALLOCATE planned")

    assert f"using {index} on" in "\n".join(row[0] for row in rows)
