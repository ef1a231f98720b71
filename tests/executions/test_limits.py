"""Which limits are in force: the execution's choice, else its version's, else the default."""

from collections.abc import Mapping

import msgspec
import pytest
import uuid_utils.compat as uuid

from app.db import Pool, into
from app.executions import acceptance
from app.executions.model import LimitPolicy, Limits
from app.executions.payloads import stored_inline
from app.http.access import Caps
from app.scripts import store as scripts
from app.scripts.model import LimitChoice
from app.scripts.refs import ScriptRef
from app.tenants.model import DEFAULT_TENANT

MIB = 2**20
MOST = Limits(wall_ms=9_000, max_cpu_ms=8_000, memory_bytes=128 * MIB, max_output_bytes=700)
POLICY = LimitPolicy(default_wall_ms=2_000, default_memory_bytes=64 * MIB, most=MOST)


@pytest.mark.parametrize(
    ("chosen", "of_version", "expected"),
    [
        ({}, {}, {}),
        ({}, {"wall_ms": 3_000}, {"wall_ms": 3_000, "max_cpu_ms": 3_000}),
        ({"wall_ms": 1_000}, {"wall_ms": 3_000}, {"wall_ms": 1_000, "max_cpu_ms": 1_000}),
        ({"wall_ms": 1_000}, {"max_cpu_ms": 500}, {"wall_ms": 1_000, "max_cpu_ms": 500}),
        ({"max_cpu_ms": 600}, {"max_cpu_ms": 500}, {"max_cpu_ms": 600}),
        # What a version was given when more was allowed.
        ({}, {"wall_ms": 10_000}, {"wall_ms": 9_000, "max_cpu_ms": 8_000}),
        ({}, {"memory_bytes": 256 * MIB}, {"memory_bytes": 128 * MIB}),
        ({"memory_bytes": 32 * MIB}, {"memory_bytes": 256 * MIB}, {"memory_bytes": 32 * MIB}),
        ({"max_output_bytes": 5}, {"max_output_bytes": 900}, {"max_output_bytes": 5}),
        ({}, {"max_output_bytes": 900}, {}),
    ],
)
async def test_the_nearest_choice_is_in_force_below_the_ceiling(
    pool: Pool,
    chosen: Mapping[str, int],
    of_version: Mapping[str, int],
    expected: Mapping[str, int],
) -> None:
    script, execution = uuid.uuid7(), uuid.uuid7()
    async with pool.acquire() as conn:
        await scripts.insert_script(conn, DEFAULT_TENANT, script, name="limited", description="")
        limits = msgspec.convert(of_version, LimitChoice)
        await scripts.insert_version(
            conn, DEFAULT_TENANT, script, source=b"x", limits=limits, note=""
        )
        await acceptance.insert_execution(
            conn,
            DEFAULT_TENANT,
            execution,
            ref=ScriptRef(script="limited"),
            chosen=msgspec.convert(chosen, LimitChoice),
            policy=POLICY,
            seed=1,
            labels={},
            payload=stored_inline(b"1"),
            caps=Caps(),
        )
        row = await conn.fetchrow("SELECT * FROM executions WHERE id = $1", execution)
    assert row is not None
    default = Limits(wall_ms=2_000, max_cpu_ms=2_000, memory_bytes=64 * MIB, max_output_bytes=700)
    assert into(Limits, row) == msgspec.structs.replace(default, **expected)
