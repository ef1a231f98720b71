"""The limits in force are the execution's, else its version's, else the default."""

from collections.abc import Mapping

import msgspec
import pytest
import uuid_utils.compat as uuid

from app.db import Pool, from_row
from app.executions import acceptance
from app.limits import LimitChoice, LimitPolicy, Limits
from app.payloads.writer import stored_inline
from app.quotas.model import Caps
from app.scripts import store as scripts
from app.scripts.refs import ScriptRef
from app.tenants.model import DEFAULT_TENANT

MIB = 2**20
CEILINGS = Limits(wall_ms=9_000, max_cpu_ms=8_000, memory_bytes=128 * MIB, max_output_bytes=700)
POLICY = LimitPolicy(default_wall_ms=2_000, default_memory_bytes=64 * MIB, ceilings=CEILINGS)


@pytest.mark.parametrize(
    ("chosen", "of_version", "expected"),
    [
        ({}, {}, {}),
        ({}, {"wall_ms": 3_000}, {"wall_ms": 3_000, "max_cpu_ms": 3_000}),
        ({"wall_ms": 1_000}, {"wall_ms": 3_000}, {"wall_ms": 1_000, "max_cpu_ms": 1_000}),
        ({"wall_ms": 1_000}, {"max_cpu_ms": 500}, {"wall_ms": 1_000, "max_cpu_ms": 500}),
        ({"max_cpu_ms": 600}, {"max_cpu_ms": 500}, {"max_cpu_ms": 600}),
        # The version is from a time of higher ceilings.
        ({}, {"wall_ms": 10_000}, {"wall_ms": 9_000, "max_cpu_ms": 8_000}),
        ({}, {"memory_bytes": 256 * MIB}, {"memory_bytes": 128 * MIB}),
        ({"memory_bytes": 32 * MIB}, {"memory_bytes": 256 * MIB}, {"memory_bytes": 32 * MIB}),
        ({"max_output_bytes": 5}, {"max_output_bytes": 900}, {"max_output_bytes": 5}),
        ({}, {"max_output_bytes": 900}, {}),
    ],
)
async def test_the_most_specific_limit_is_in_force_up_to_the_ceiling(
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
    assert from_row(Limits, row) == msgspec.structs.replace(default, **expected)
