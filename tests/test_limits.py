"""Each limit is declared in app.limits; structs, settings, documents and SQL agree with it."""

import json
import re
from collections.abc import Iterator
from typing import Final

import msgspec
import pytest
from msgspec import Struct

from app import limits
from app.db import Pool
from app.executions.model import Receipt
from app.executions.payload_api import show_logs
from app.executions.query_options import RawSubmissionQuery
from app.limits import LIMIT_NAMES, LimitChoice, Limits
from app.sandbox.outcomes import Limits as SandboxLimits
from app.scripts.model import SampleReceipt
from app.scripts.reference import ScriptFileQuery
from app.settings import Settings
from tests.support.servers import ROOT

# A CHECK constraint, a value that it accepts and the next one, which it refuses.
_BOUNDARIES: Final = [
    ("executions_priority_check", "priority", limits.MAX_PRIORITY, limits.MAX_PRIORITY + 1),
    ("executions_priority_check", "priority", limits.MIN_PRIORITY, limits.MIN_PRIORITY - 1),
    ("executions_seed_check", "seed", limits.MAX_SEED, limits.MAX_SEED + 1),
    ("executions_seed_check", "seed", 0, -1),
    *((f"executions_{name}_check", name, 1, 0) for name in LIMIT_NAMES),
]
_SIZE: Final = re.compile(r"(\d+) (KiB|MiB|GiB)\b")
_UNITS: Final = {"KiB": limits.KIB, "MiB": limits.MIB, "GiB": limits.GIB}
# What a client must send or take in each CRIVO_CLIENT_SECONDS.
_PACE_BYTES: Final = 4 * limits.KIB
_EXPRESSION: Final = """
SELECT pg_get_expr(conbin, conrelid) FROM pg_constraint WHERE conname = $1
"""


@pytest.mark.parametrize(("constraint", "column", "accepted", "refused"), _BOUNDARIES)
async def test_a_check_constraint_has_the_declared_boundary(
    pool: Pool, constraint: str, column: str, accepted: int, refused: int
) -> None:
    expression = await pool.fetchval(_EXPRESSION, constraint)
    query = f"SELECT {expression} FROM (SELECT $1::bigint AS {column}) AS executions"  # noqa: S608 - of the catalog

    assert await pool.fetchval(query, accepted)
    assert not await pool.fetchval(query, refused)


@pytest.mark.parametrize("table", ["executions", "script_versions"])
async def test_a_table_has_a_column_for_each_limit(pool: Pool, table: str) -> None:
    rows = await pool.fetch(
        "SELECT column_name FROM information_schema.columns WHERE table_name = $1", table
    )

    assert set(LIMIT_NAMES) <= {row["column_name"] for row in rows}


async def test_quotas_are_counted_exactly_above_the_inline_size(pool: Pool) -> None:
    definition = await pool.fetchval(
        "SELECT prosrc FROM pg_proc WHERE proname = 'quota_against_execution_v2'"
    )

    [small] = re.findall(r"small_bytes +CONSTANT bigint := (\d+);", definition)
    assert int(small) == limits.MAX_INLINE_BYTES


def test_the_structs_of_limits_have_the_same_members_in_the_same_order() -> None:
    # SQL takes them by position.
    assert LimitChoice.__struct_fields__ == LIMIT_NAMES
    for receipt in (Receipt, SampleReceipt):
        types = {field.name: field.type for field in msgspec.structs.fields(receipt)}
        assert types["limits"] is Limits


@pytest.mark.parametrize("query", [RawSubmissionQuery, ScriptFileQuery])
def test_query_parameters_have_the_bounds_of_a_choice(query: type[Struct]) -> None:
    bounds = _bounds(query)

    assert {name: bounds[name] for name in LIMIT_NAMES} == _bounds(LimitChoice)


def test_settings_have_the_bounds_of_a_choice() -> None:
    bounds, chosen = _bounds(Settings), _bounds(LimitChoice)

    assert bounds["default_wall_ms"] == bounds["max_wall_ms"] == chosen["wall_ms"]
    assert bounds["default_memory_bytes"] == bounds["max_memory_bytes"] == chosen["memory_bytes"]
    assert bounds["max_cpu_ms"] == chosen["max_cpu_ms"]
    assert bounds["max_output_bytes"] == chosen["max_output_bytes"]
    assert bounds["max_input_bytes"] == (1, limits.MAX_PAYLOAD_BYTES)


def test_descriptions_name_declared_sizes_only() -> None:
    console = SandboxLimits(wall_ms=1, memory_bytes=1, output_bytes=1)
    document = json.loads((ROOT / "openapi" / "openapi.json").read_text("utf-8"))
    texts = [*_descriptions(document), *_descriptions(msgspec.json.schema(Settings))]

    named = {found for text in texts for found in _SIZE.findall(text)}
    sizes = {int(number) * _UNITS[unit] for number, unit in named}
    declared = {value for value in vars(limits).values() if isinstance(value, int)}
    assert sizes <= {*declared, console.console_bytes, _PACE_BYTES}
    assert limits.MAX_ENVELOPE_BYTES in sizes


def test_the_console_s_lines_are_documented() -> None:
    console = SandboxLimits(wall_ms=1, memory_bytes=1, output_bytes=1)

    assert f"{console.console_lines:,} lines" in (show_logs.fn.__doc__ or "")


def test_no_other_module_repeats_a_bound() -> None:
    pattern = re.compile(r"\b(300_000|16 \* MIB|256 \* MIB|4 \* GIB)\b")

    repeated = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "app").rglob("*.py")
        if pattern.search(path.read_text("utf-8"))
    }

    assert repeated == {"app/limits.py"}


def _descriptions(part: object) -> Iterator[str]:
    if isinstance(part, list):
        for each in part:
            yield from _descriptions(each)
    elif isinstance(part, dict):
        for name, each in part.items():
            if name == "description" and isinstance(each, str):
                yield each
            elif name != "examples":
                yield from _descriptions(each)


def _bounds(shape: type[Struct]) -> dict[str, tuple[int | None, int | None]]:
    _, parts = msgspec.json.schema_components([shape], ref_template="{name}")
    bounds = {}
    for name, member in parts[shape.__name__]["properties"].items():
        [schema] = [each for each in member.get("anyOf", [member]) if each != {"type": "null"}]
        if "maximum" in schema:
            bounds[name] = (schema["minimum"], schema["maximum"])
    return bounds
