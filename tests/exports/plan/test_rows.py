"""An export has the rows, in the partitions, that a slow program in Python gives it."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, given, settings, strategies as st

from app.exports.plan.model import Grain, OnBadRow, PartitionColumn, Plan
from tests.exports.plan.oracle import expected
from tests.exports.plan.tasks import Folder, Result, whole

_LEVELS = (
    PartitionColumn(name="year", grain=Grain.YEAR, pointer="/t"),
    PartitionColumn(name="day", grain=Grain.DAY, pointer="/t"),
    PartitionColumn(name="p", grain=Grain.VALUE, pointer="/p"),
)
PLAN = Plan(
    key=["/k"],
    latest_by="/t",
    partition_by=_LEVELS,
    on_bad_row=OnBadRow.DEAD_LETTER,
    max_bad_rows=1_000,
)
_KEYS = (
    r'"a"',
    r'"\u0061"',
    r'"é"',
    r'"1"',
    "1",
    "1.0",
    "10e-1",
    "-0",
    "0",
    "12345678901234567890",
    "12345678901234567891",
    "null",
    "true",
    "[1]",
    r'"\ud800"',
    r'"a\u0000b"',
    r'"\"a"',
)
_MOMENTS = (
    '"2021-01-14T10:30:00Z"',
    '"2021-01-14T10:30:00.000000001Z"',
    '"2021-01-14T10:30:00.0000000011Z"',
    '"2021-01-14T11:30:00+01:00"',
    '"2021-01-14T00:30:00+14:00"',
    '"2020-02-29"',
    '"2021-02-29"',
    '"1969-12-31T23:59:59.999999Z"',
    '"1969-12-31 23:59:59.9999999"',
    '"0001-01-01T00:00:00Z"',
    '"9999-12-31T23:59:59Z"',
    '"yesterday"',
    '"2021-01-14T10:30:60Z"',
    "null",
    "{}",
)
_PLACES = (
    *('"x"', '"y/=z"', '""', "null", "7", "1.50", "true", "[]", '"é"', '"\\u0001"', '"null"'),
    '"__HIVE_DEFAULT_PARTITION__"',
)
# What tables within may call their columns, or DuckDB.
_NAMES = ("rowid", "number", "file", "g0", "k0", "c0", "d0", "ordinal", "bucket", "size", "part")
_DATA = ('{"x":1.10,"x":2}', "[1, 2]", r'"\u00e9"', "1e400", "-0", r'{"y":"\ud800"}', '{"b":1}')


_NAME = st.sampled_from(_NAMES)


@st.composite
def _lines(draw: st.DrawFn, *, sizes: tuple[int, int] = (1, 60)) -> list[bytes]:
    found = []
    for number in range(draw(st.integers(*sizes))):
        pairs = [("n", str(number))]
        for name, values in (("k", _KEYS), ("t", _MOMENTS), ("p", _PLACES), ("d", _DATA)):
            pairs += [
                (name, value)
                for value in draw(st.lists(st.sampled_from(values), min_size=0, max_size=2))
                if draw(st.sampled_from((True, True, True, False))) or name == "d"
            ][-2:]
        pairs += [(name, str(number % 3 + 1)) for name in draw(st.lists(_NAME, max_size=2))]
        colon, comma = draw(st.sampled_from(((":", ","), (": ", ", "), (":\r", " ,\t"))))
        members = comma.join(f'"{name}"{colon}{value}' for name, value in pairs)
        found.append(f"{{{members}}}".encode())
        found += draw(st.sampled_from(([], [], [b""], [b" \t"])))
    return found


@st.composite
def _bad_lines(draw: st.DrawFn) -> list[bytes]:
    """Lines of a file that are all bad, with members of their own."""
    names = draw(st.lists(_NAME, min_size=1, unique=True))
    return [b'{"k":null,"%s":7}' % name.encode() for name in names]


def _found(results: Sequence[Result]) -> dict[int, tuple[str | None, ...]]:
    return {row["n"]: partition for each in results for partition, row in each.rows}


def _numbered(lines: Sequence[bytes]) -> list[bytes]:
    """Leave out blank lines, as records are numbered without them."""
    return [line for line in lines if line.strip()]


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(_lines())
def test_survivors_and_partitions_are_those_of_the_oracle(lines: list[bytes]) -> None:
    want = expected(_numbered(lines))
    with TemporaryDirectory() as path:
        result = Folder(Path(path)).run(whole(Folder(Path(path)).source(lines)), PLAN)
        places = [number for number, line in enumerate(lines) if line.strip()]
        assert want.bad == {places.index(row.line) for row in result.report.bad}
        assert want.survivors == _found([result])
        assert len(places) == result.report.rows_in
        dropped = result.report.duplicates + result.report.bad_rows
        assert result.report.rows_in - dropped == result.report.rows_out


@settings(max_examples=4, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(_lines(sizes=(1, 25)) | _bad_lines(), min_size=1, max_size=3))
def test_stages_write_the_rows_of_one_task(files: list[list[bytes]]) -> None:
    with TemporaryDirectory() as path:
        folder = Folder(Path(path))
        sources = [folder.source(lines, f"{n}.jsonl") for n, lines in enumerate(files)]
        whole_result = folder.run(whole(*sources), PLAN)
        staged = folder.run_stages(sources, PLAN)
        assert _sorted([whole_result]) == _sorted(staged)
        for each in staged:
            assert [(c.name, c.type) for c in whole_result.report.columns] == [
                (c.name, c.type) for c in each.report.columns
            ]


def _sorted(results: Sequence[Result]) -> list[str]:
    return sorted(repr(row) for each in results for row in each.rows)
