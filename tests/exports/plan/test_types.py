"""Values become columns: what SQL is certain of is what the slow way says, too."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from duckdb import DuckDBPyConnection

from app.exports.plan import conversion
from app.exports.plan.fitting import Misfit, fitted
from app.exports.plan.model import JSON_TEXT, ExportColumn, OnBadRow, Plan
from app.schemas.ddl.duckdb import duckdb_type
from app.schemas.ddl.types import Field, Kind, ListOf, MapOf, Scalar, StructOf, Type
from tests.exports.plan.tasks import Folder, whole

_TEXTS = (
    *("0", "-0", "1", "1.0", "1e0", "10e-1", "1.10", "127", "128", "-128", "-129", "32768"),
    *("2147483648", "9223372036854775807", "9223372036854775808", "123456789012345678"),
    *("0.1", "1e308", "1e309", "1e-400", "3.5e38", "12345678901234567", "0.1234567890123456789"),
    *("true", "false", "[]", "{}", '[1, "x", null]', '{"a":1,"b":"x"}', '{"b":"x","a":1}'),
    *('{"a":1}', '{"a":1,"b":"x","c":0}', '{"a":1.5}', '{"a":"1"}', '{"a":1,"a":2}', "[[1]]"),
    *('""', '"a"', '"abcd"', '"é"', r'"\u00e9"', r'"\ud800"', r'"\u0000"', '"AAH/"', '"AAH"'),
    *('"2021-01-14"', '"2021-02-29"', '"0000-01-01"', '"2021-01"', '"2021"', '"12021-01-01"'),
    *('"2021-01-14T10:30:00Z"', '"2021-01-14T24:00:00Z"', '"2021-01-14T10:30:00.1234567-23:59"'),
    *('"0001-01-01T00:00:00+01:00"', '"9999-12-31T23:59:59-01:00"', '"1969-12-31T23:59:59.9"'),
    *('"2021-01-14 10:30:00+14:59"', '"2021-01-14T10:30"', '"infinity"', '"epoch"'),
    *('"00000000-0000-0000-0000-00000000000A"', '"00000000-0000-0000-0000-00000000000a"'),
)
_PAIR = StructOf((Field("a", Scalar(Kind.BIGINT), ""), Field("b", Scalar(Kind.STRING), "")))
_TYPES: Sequence[Type] = (
    *(Scalar(kind) for kind in Kind if kind not in (Kind.DECIMAL, Kind.VARCHAR, Kind.CHAR)),
    Scalar(Kind.VARCHAR, (3,)),
    Scalar(Kind.CHAR, (1,)),
    Scalar(Kind.DECIMAL, (5, 2)),
    Scalar(Kind.DECIMAL, (38, 0)),
    Scalar(Kind.DECIMAL, (2, 2)),
    JSON_TEXT,
    ListOf(Scalar(Kind.STRING)),
    ListOf(ListOf(Scalar(Kind.DOUBLE))),
    MapOf(Scalar(Kind.DOUBLE)),
    _PAIR,
)


@pytest.fixture(scope="module")
def connection() -> Iterator[DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


@pytest.fixture(scope="module")
def texts(connection: DuckDBPyConnection) -> list[str]:
    """Leave out what is left to Python before a type matters."""
    readable = "CASE WHEN json_valid(v) THEN json(v) = v ELSE false END"
    kept = _evaluated(connection, readable, _TEXTS)
    return [text for text, keep in zip(_TEXTS, kept, strict=True) if keep]


@pytest.mark.parametrize("of", _TYPES, ids=duckdb_type)
def test_what_sql_is_certain_of_is_what_python_says(
    connection: DuckDBPyConnection, texts: list[str], of: Type
) -> None:
    fits: dict[str, str] = {}
    for text in texts:
        with suppress(Misfit):
            fits[text] = fitted(text.encode(), of).decode()
    sure = _evaluated(connection, conversion.certain("v", of), texts)
    certain = [text for text, is_sure in zip(texts, sure, strict=True) if is_sure]
    assert set(certain) <= set(fits)
    # What is fitted is converted without an error; what is certain needs no fitting.
    converted = conversion.converted("v", of)
    values = dict(zip(fits, _evaluated(connection, converted, list(fits.values())), strict=True))
    assert [values[text] for text in certain] == _evaluated(connection, converted, certain)


def _evaluated(connection: DuckDBPyConnection, expression: str, texts: Sequence[str]) -> list[Any]:
    query = f"SELECT {expression} FROM (SELECT unnest(?::VARCHAR[]) AS v)"  # noqa: S608 - constants
    return [row[0] for row in connection.execute(query, [list(texts)]).fetchall()]


def test_values_of_all_types(tmp_path: Path) -> None:
    nested = StructOf(
        (
            Field("d", Scalar(Kind.DECIMAL, (10, 2)), ""),
            Field("t", Scalar(Kind.TIMESTAMP), ""),
            Field("l", ListOf(Scalar(Kind.STRING)), ""),
            Field("m", MapOf(Scalar(Kind.DOUBLE)), ""),
        )
    )
    types: dict[str, Type] = {
        "n": nested,
        "d": Scalar(Kind.DATE),
        "t": Scalar(Kind.TIMESTAMP),
        "s": Scalar(Kind.SMALLINT),
        "u": ListOf(Scalar(Kind.UUID)),
    }
    line = (
        b'{"n":{"d":12.5,"t":"2021-01-14T10:30:00+01:00","l":["x",1,{"y": 1.0},null],'
        b'"m":{"q":1.5},"more":1},"d":"2020-02-29",'
        b'"t":"1969-12-31T23:59:59.1234569Z","s":10e-1,"u":["00000000-0000-0000-0000-00000000000A"]}'
    )
    bad = b'{"n":{"m":{"q/":"x"}}}'
    plan = Plan(
        columns=[ExportColumn(name=n, pointer=f"/{n}", type=of) for n, of in types.items()],
        on_bad_row=OnBadRow.DEAD_LETTER,
        max_bad_rows=1,
    )
    folder = Folder(tmp_path)
    result = folder.run(whole(folder.source([line, bad])), plan)
    [(_, row)] = result.rows
    assert row == {
        "n": {
            "d": Decimal("12.50"),
            "t": datetime(2021, 1, 14, 9, 30, tzinfo=UTC),
            "l": ["x", "1", '{"y": 1.0}', None],
            "m": {"q": 1.5},
        },
        "d": date(2020, 2, 29),
        "t": datetime(1969, 12, 31, 23, 59, 59, 123456, tzinfo=UTC),
        "s": 1,
        "u": ["00000000-0000-0000-0000-00000000000A"],
    }
    assert [(b.line, b.kind, b.pointer) for b in result.report.bad] == [
        (1, "bad_value", "/n/m/q~1")
    ]


@pytest.mark.parametrize(
    ("texts", "of"),
    [
        (["null"], Scalar(Kind.STRING, note="always null")),
        (["true", "null"], Scalar(Kind.BOOLEAN)),
        (["1", "-5"], Scalar(Kind.BIGINT)),
        (["1", "1.10", "1e3", "0.1234567890123456"], Scalar(Kind.DOUBLE)),
        # A double would change these.
        (["123456789012345678", "0.5"], JSON_TEXT),
        (["0.12345678901234567890"], JSON_TEXT),
        (["1e400"], JSON_TEXT),
        (["-0"], JSON_TEXT),
        (['"2021-01-14"'], Scalar(Kind.STRING)),
        (['"1"', "1"], JSON_TEXT),
        (["[1, 2]", '{"b":1,"a":1}'], JSON_TEXT),
    ],
)
def test_types_are_inferred_from_all_rows(texts: list[str], of: Type, tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    lines = [b'{"v":%b}' % text.encode() for text in texts]
    result = folder.run(whole(folder.source(lines)), Plan())
    assert [of] == [column.type for column in result.report.columns]
    if of == JSON_TEXT:
        assert texts == [row["v"] for _, row in result.rows]
