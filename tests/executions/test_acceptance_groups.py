"""Submissions that arrive while one is being accepted are accepted together, as each would be."""

from collections import Counter
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import msgspec
import pytest
import uuid_utils.compat as uuid

from app.db import Connection, Pool
from app.executions import acceptance
from app.executions.acceptance_groups import Acceptance, insert_executions
from app.executions.model import Submission
from app.lanes import MAX_SHARED_BYTES
from app.limits import LimitChoice, LimitPolicy, Limits
from app.payloads.writer import stored_inline
from app.quotas.errors import QuotaExceeded
from app.quotas.model import Caps
from app.resources import Resources, open_resources
from app.sandbox.outcomes import ScriptKind
from app.scripts import alias_store, store as scripts
from app.scripts.model import ResolvedVersion
from app.scripts.problems import NoProcess, ScriptNotFound
from app.scripts.refs import ScriptRef, parse_ref
from app.settings import Settings
from app.tenants.model import DEFAULT_TENANT as TENANT
from app.tenants.store import insert_tenant
from app.workers import store as workers
from app.workers.model import NoWorkerLargeEnough
from tests.support.submissions import COUNT_STATEMENTS, accept, accept_together

MIB = 2**20
CEILINGS = Limits(wall_ms=9_000, max_cpu_ms=8_000, memory_bytes=128 * MIB, max_output_bytes=700)
POLICY = LimitPolicy(default_wall_ms=2_000, default_memory_bytes=64 * MIB, ceilings=CEILINGS)
REFS = (
    "plain", "plain@1", "plain@2", "plain@latest", "plain@prod", "limited", "limited@1",
    "plain@9", "plain@nothing", "missing", "archived",
)  # fmt: skip
CHOICES: tuple[dict[str, Any], ...] = (
    {},
    {"wall_ms": 1_000},
    {"wall_ms": 1_000, "max_cpu_ms": 500, "max_output_bytes": 5},
    {"memory_bytes": 32 * MIB},
    {"memory_bytes": 100 * MIB},
)


@pytest.fixture
async def resources(pool: Pool, settings: Settings) -> AsyncIterator[Resources]:
    async with pool.acquire() as conn:
        await _add_scripts(conn, TENANT)
    async with open_resources(settings, cells=1) as resources:
        yield resources


async def _add_scripts(conn: Connection, tenant: UUID) -> dict[str, UUID]:
    added = {}
    for name, limits in (
        ("plain", {}),
        ("limited", {"wall_ms": 3_000, "max_output_bytes": 600, "memory_bytes": 80 * MIB}),
        ("archived", {}),
    ):
        script = added[name] = uuid.uuid7()
        await scripts.insert_script(conn, tenant, script, name=name, description="")
        for _ in range(2):
            await scripts.insert_version(
                conn,
                tenant,
                script,
                source=b"x",
                limits=msgspec.convert(limits, LimitChoice),
                note="",
            )
    await alias_store.put_alias(conn, tenant, added["plain"], alias="prod", version=1)
    await scripts.update_script(conn, tenant, added["archived"], description=None, archived=True)
    return added


async def test_submissions_behind_one_under_way_take_one_statement(resources: Resources) -> None:
    accepted = await accept_together(resources, *({"data": b"%d" % n} for n in range(9)))

    assert await resources.pool.fetchval(COUNT_STATEMENTS) == 2
    rows = await resources.pool.fetch(
        """
        SELECT e.id, e.labels ->> 'n' AS label, p.body, e.request_id
        FROM executions AS e
        JOIN payloads AS p ON p.execution_id = e.id AND p.kind = 'input'
        ORDER BY e.id
        """
    )
    # Each has its own input, and the ids are in the order of arrival.
    assert [tuple(row) for row in rows] == [
        (each, str(n), b"%d" % n, "a-request") for n, each in enumerate(accepted)
    ]


async def test_submissions_one_by_one_take_a_statement_each(resources: Resources) -> None:
    for _ in range(3):
        await accept(resources)

    assert await resources.pool.fetchval(COUNT_STATEMENTS) == 3


async def test_a_large_submission_takes_a_statement_of_its_own(resources: Resources) -> None:
    large = {"data": b" " * (MAX_SHARED_BYTES + 1)}
    accepted = await accept_together(resources, {}, {}, large, {})

    assert len({each for each in accepted if isinstance(each, UUID)}) == 4
    assert await resources.pool.fetchval(COUNT_STATEMENTS) == 3


async def test_an_error_of_one_submission_is_its_own(resources: Resources) -> None:
    first, second, third, fourth = await accept_together(
        resources, {}, {"ref": "missing"}, {}, {"data": b" " * 100_000}
    )

    assert isinstance(second, ScriptNotFound)
    ids = [row["id"] for row in await resources.pool.fetch("SELECT id FROM executions")]
    assert sorted(ids) == sorted(each for each in (first, third, fourth) if isinstance(each, UUID))


async def test_versions_without_process_are_refused_also_among_others(
    resources: Resources,
) -> None:
    async with resources.pool.acquire() as conn:
        script = uuid.uuid7()
        await scripts.insert_script(conn, TENANT, script, name="fold", description="")
        for kinds in ([ScriptKind.FOLD], [ScriptKind.PROCESS, ScriptKind.FOLD]):
            await scripts.insert_version(
                conn, TENANT, script, source=b"x", limits=LimitChoice(), note="", kinds=kinds
            )

    refs = ("plain", "fold@1", "fold", "fold@1", "fold@2")
    answers = await accept_together(resources, *({"ref": ref} for ref in refs))

    assert [isinstance(each, NoProcess) for each in answers] == [ref == "fold@1" for ref in refs]
    assert "POST /runs" in str(answers[1])
    assert await resources.pool.fetchval("SELECT count(*) FROM executions") == 3


@pytest.mark.parametrize(
    ("caps", "size", "fit"),
    [
        (Caps(max_queued=5), 1, 5),
        (Caps(max_queued=500), 1, 12),
        (Caps(max_stored_bytes=1_050), 100, 10),
        (Caps(max_bytes_per_day=1_050), 100, 10),
    ],
    ids=["queued", "far", "stored", "day"],
)
async def test_a_quota_is_exact_for_a_group(
    resources: Resources, caps: Caps, size: int, fit: int
) -> None:
    answers = await accept_together(
        resources, *({"data": b"1" * size, "caps": caps} for _ in range(12))
    )

    kinds = Counter(type(each) for each in answers)
    assert kinds == Counter({UUID: fit, QuotaExceeded: 12 - fit})
    assert await resources.pool.fetchval("SELECT count(*) FROM executions") == fit


async def test_other_caps_are_another_group(resources: Resources) -> None:
    answers = await accept_together(
        resources, *({"caps": Caps(max_queued=n % 2 + 2)} for n in range(8))
    )

    assert sum(isinstance(each, UUID) for each in answers) == 3
    assert {each.limit for each in answers if isinstance(each, QuotaExceeded)} == {2, 3}

    # Not those of the call before it, which has room.
    *_, last = await accept_together(resources, {}, {}, {"caps": Caps(max_queued=3)})
    assert isinstance(last, QuotaExceeded)


@pytest.mark.parametrize("max_memory_bytes", [None, 96 * MIB, 48 * MIB])
async def test_a_group_stores_what_single_statements_store(
    pool: Pool, max_memory_bytes: int | None
) -> None:
    wanted = [
        Acceptance(
            execution_id=uuid.uuid7(),
            ref=parse_ref(ref),
            submission=Submission(
                limits=msgspec.convert(choice, LimitChoice),
                labels={"a": ref},
                priority=len(choice),
                params=b'{"n":1}' if choice else None,
            ),
            seed=number,
            payload=stored_inline(b"%d" % number),
            traceparent=f"00-{number:032x}-{number:016x}-01",
            request_id=f"request-{number}",
        )
        for number, (ref, choice) in enumerate((r, c) for r in REFS for c in CHOICES)
    ]
    async with pool.acquire() as conn:
        added = await _add_scripts(conn, TENANT)
        by_id = ScriptRef(script=added["limited"], selector=2)
        wanted.append(
            msgspec.structs.replace(wanted[0], execution_id=uuid.uuid7(), ref=by_id, seed=99)
        )
        await workers.record_heartbeat(
            conn,
            uuid.uuid7(),
            host="a",
            pid=1,
            slots=1,
            v8_version="1",
            lockdown={},
            max_memory_bytes=max_memory_bytes,
            trouble=None,
        )
        single = await _stored(conn, wanted, one_by_one=True)
        together = await _stored(conn, wanted, one_by_one=False)

    assert len(single) > 10
    assert together == single


async def test_a_group_finds_no_script_of_another_tenant(pool: Pool) -> None:
    async with pool.acquire() as conn:
        other = uuid.uuid7()
        await insert_tenant(conn, other, name="other", weight=100, caps=Caps())
        theirs = await _add_scripts(conn, other)
        wanted = [
            Acceptance(
                execution_id=uuid.uuid7(),
                ref=ref,
                submission=Submission(),
                seed=1,
                payload=stored_inline(b"1"),
            )
            for ref in (ScriptRef(script=theirs["plain"], selector=1), parse_ref("plain"))
        ]

        stored = await insert_executions(conn, TENANT, wanted, policy=POLICY, caps=Caps())

    assert stored == [None, None]
    assert await pool.fetchval("SELECT count(*) FROM executions") == 0


async def _stored(
    conn: Connection, wanted: list[Acceptance], *, one_by_one: bool
) -> list[tuple[Any, ...]]:
    """Accept executions, return the rows that this makes, and undo it."""
    transaction = conn.transaction()
    await transaction.start()
    returned: list[object] = []
    if one_by_one:
        returned += [await _accept_alone(conn, each) for each in wanted]
    else:
        returned += await insert_executions(conn, TENANT, wanted, policy=POLICY, caps=Caps())
    rows = await conn.fetch(
        """
        SELECT e.id, e.tenant_id, e.script_id, e.version, e.status, e.wall_ms, e.max_cpu_ms,
               e.memory_bytes, e.max_output_bytes, e.labels, e.seed, e.priority, e.traceparent,
               e.request_id, floor(extract(epoch FROM e.created_at) * 1000) = e.clock_ms AS clock,
               p.kind, p.tenant_id, p.sha256, p.size_bytes, p.body, p.blob_key,
               (SELECT sum(u.queued) FROM tenant_usage AS u) AS queued,
               (SELECT sum(u.stored_bytes) FROM tenant_usage AS u) AS stored
        FROM executions AS e JOIN payloads AS p ON p.execution_id = e.id
        ORDER BY e.id, p.kind
        """
    )
    await transaction.rollback()
    versions = [each if isinstance(each, ResolvedVersion) else None for each in returned]
    return [*(tuple(row) for row in rows), tuple(versions)]


async def _accept_alone(conn: Connection, each: Acceptance) -> object:
    version = None
    try:
        version = await acceptance.insert_execution(
            conn,
            TENANT,
            each.execution_id,
            ref=each.ref,
            chosen=each.submission.limits,
            policy=POLICY,
            seed=each.seed,
            labels=each.submission.labels,
            params=each.submission.params,
            payload=each.payload,
            priority=each.submission.priority,
            caps=Caps(),
            traceparent=each.traceparent,
            request_id=each.request_id,
        )
    except NoWorkerLargeEnough:
        return None
    archived = isinstance(version, ResolvedVersion) and version.archived_at is not None
    return None if archived else version
