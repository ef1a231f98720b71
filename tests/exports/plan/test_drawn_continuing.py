"""Exports on top of each other, drawn: they have the rows of one export of all lines."""

import re
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from hypothesis import HealthCheck, given, settings, strategies as st

from app.exports.plan.model import (
    JSON_TEXT,
    ExportColumn,
    Grain,
    HeldFile,
    PartitionColumn,
    Plan,
    TaskFailed,
)
from app.schemas.ddl.types import Kind, Scalar, Type
from tests.exports.plan.tasks import Folder, Row, rows_of, whole

# What DuckDB, or a statement of the plan, gives a meaning of its own.
_NAMES: Final = ("k", "number", "file", "g0", "RowId", "ordinal", "latest", "k0", "d0", "held")
_NAMES_OF_FILES: Final = ("filename", "crivo:file", "base", "older", "file_row_number")
_UUIDS: Final = tuple(f'"{digit * 8}-0000-4000-8000-{digit * 12}"' for digit in "aAb")
_TEXTS: Final = ('"a"', '"é"', r'"\u0061"', '"b c"', '"null"')
_MIXED_TEXTS: Final = (*_TEXTS, '"1"', "1", "1.0", '"1e0"')
_INTEGERS: Final = (
    *("1", "1.0", "-0", "0", "123456789012345600", "1234567890123456000"),
    # On both sides of where keys are written with an exponent.
    *("999999999999999999", "-999999999999999936", "1000000000000000000"),
)
_KEYS: Final[Sequence[tuple[Type | None, Sequence[str]]]] = (
    (None, _TEXTS),
    (None, _INTEGERS[4:]),
    (Scalar(Kind.BIGINT), _INTEGERS),
    (Scalar(Kind.STRING), _MIXED_TEXTS),
    (Scalar(Kind.UUID), _UUIDS),
    (Scalar(Kind.VARCHAR, (9,)), _TEXTS),
    (Scalar(Kind.CHAR, (9,)), _TEXTS),
)
_MOMENTS: Final = (
    '"2021-01-14T10:30:00Z"',
    '"2021-01-14T11:30+01:00"',
    '"2021-01-14T10:30:00.0000001Z"',
    '"2021-01-14T10:30:00.00000011Z"',
    '"2021-01-14T10:30:00.000001Z"',
    '"0001-01-01T00:00:00Z"',
    '"9999-12-31"',
    '"2021"',
)
_NUMBERS: Final = (
    "1",
    "1.0",
    "-1.5",
    "-0",
    "2021",
    "0.30000000000000000001",
    "0.3",
    "12345678901234567",
    "12345678901234567.5",
    "1e40",
)
_ORDERS: Final[Sequence[tuple[Type | None, Sequence[str]]]] = (
    (None, _MOMENTS),
    (None, _NUMBERS[:2]),
    (None, _NUMBERS),
    (None, (*_MOMENTS, *_NUMBERS)),
    (JSON_TEXT, (*_MOMENTS, *_NUMBERS)),
    (Scalar(Kind.STRING), (*_MOMENTS, *_NUMBERS)),
    (Scalar(Kind.TIMESTAMP), _MOMENTS),
    (Scalar(Kind.DOUBLE), _NUMBERS),
    (Scalar(Kind.DECIMAL, (20, 2)), _NUMBERS[:5]),
    (Scalar(Kind.INT), _NUMBERS[:2]),
    (Scalar(Kind.DATE), ('"2021-01-14"', '"0001-01-01"', '"9999-12-31"')),
)
# Of which a column has less, or another text.
_ROUNDED: Final = {
    Kind.TIMESTAMP: _MOMENTS[2:4],
    Kind.DOUBLE: ("-0", "0.30000000000000000001", "12345678901234567", "12345678901234567.5"),
}
_EXACT: Final = (
    *(of for of, _ in _KEYS if of not in (None, Scalar(Kind.STRING))),
    *(Scalar(Kind.DECIMAL, (20, 2)), Scalar(Kind.INT), Scalar(Kind.DATE), JSON_TEXT),
)


@st.composite
def _chains(draw: st.DrawFn) -> tuple[Plan, list[list[bytes]]]:
    """Return a plan, and lines of two or three exports with its types."""
    key, order = draw(
        st.lists(st.sampled_from(_NAMES + _NAMES_OF_FILES), min_size=2, max_size=2, unique=True)
    )
    key_type, keys = draw(st.sampled_from(_KEYS))
    order_type, orders = draw(st.sampled_from(_ORDERS))
    columns = [
        ExportColumn(name=key, pointer=f"/{key}", type=key_type, source="request"),
        ExportColumn(name=order, pointer=f"/{order}", type=order_type, source="request"),
        ExportColumn(name="n", pointer="/n"),
    ]
    plan = Plan(
        key=[f"/{key}"],
        latest_by=f"/{order}",
        partition_by=[PartitionColumn(name="p", grain=Grain.VALUE, pointer="/p")],
        columns=columns if draw(st.booleans()) or key_type or order_type else (),
    )
    number, exports = 0, []
    for _ in range(draw(st.integers(2, 3))):
        lines = []
        for _ in range(draw(st.integers(1, 8))):
            values = (draw(st.sampled_from(each)) for each in (keys, orders, ('"x"', '"y"')))
            line = '{"%s":%s,"%s":%s,"p":%s,"n":%d}'
            k, t, p = values
            lines.append((line % (key, k, order, t, p, number)).encode())
            number += 1
        exports.append(lines)
    return plan, exports


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(_chains())
def test_a_chain_of_exports_has_the_rows_of_one(chain: tuple[Plan, list[list[bytes]]]) -> None:
    plan, exports = chain
    with TemporaryDirectory() as path:
        folder = Folder(Path(path))
        sources = [folder.source(lines, f"{n}.jsonl") for n, lines in enumerate(exports)]
        base: list[HeldFile] = []
        for number, source in enumerate(sources):
            try:
                result = folder.run(whole(source, base=base), plan)
            except TaskFailed as failure:
                if not number or failure.kind != "columns_differ" or _is_exact(plan):
                    raise
                _require_rounded(failure, plan, exports[:number])
                return
            base = [
                *(held for n, held in enumerate(base) if n not in result.report.replaced),
                *result.held,
            ]
            if number:
                everything = folder.run(whole(*sources[: number + 1]), plan)
                assert _numbers(base) == _numbers(everything.held)


def _require_rounded(failure: TaskFailed, plan: Plan, earlier: Sequence[list[bytes]]) -> None:
    """Require that the partition that a failure names has a value that its column does not keep."""
    named = re.search(r"a value in p=(\w) had more digits", str(failure))
    if named is None:
        return
    [of] = [column.type for column in plan.columns if column.pointer == plan.latest_by]
    assert isinstance(of, Scalar)
    lines = b"\n".join(line for lines in earlier for line in lines).decode()
    members = (f':{value},"p":"{named[1]}"' for value in _ROUNDED[of.kind])
    assert any(each in lines for each in members), str(failure)


def _is_exact(plan: Plan) -> bool:
    """Return whether no values of these columns can be a reason to refuse."""
    return bool(plan.columns) and all(
        column.type in _EXACT for column in plan.columns if column.name != "n"
    )


def _numbers(files: Sequence[HeldFile]) -> list[tuple[int, str]]:
    rows: list[Row] = [row for held in files for row in rows_of(held)]
    return sorted((row["n"], repr((partition, row))) for partition, row in rows)
