"""An export without named columns has the same ones in both ways."""

import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import pytest

from app.exports.plan import stages
from app.exports.plan.model import (
    JSON_TEXT,
    ExportColumn,
    Grain,
    OnBadRow,
    PartitionColumn,
    Plan,
    TaskFailed,
)
from app.schemas.ddl.types import Kind, Scalar
from tests.exports.plan.tasks import Folder, whole


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_members_of_bad_rows_are_columns_in_both_ways(folder: Folder) -> None:
    plan = Plan(key=["/k"], on_bad_row=OnBadRow.DEAD_LETTER, max_bad_rows=9)
    sources = [folder.source([b'{"k":1}'], "0"), folder.source([b'{"k":null,"new":1}'], "1")]
    [(_, row)] = folder.run(whole(*sources), plan).rows
    assert row == {"k": 1, "new": None}
    assert [row] == [row for each in folder.run_stages(sources, plan) for _, row in each.rows]


def test_tasks_whose_records_have_other_members_have_columns_of_all(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "_FILES_AT_ONCE", 1)
    plan = Plan(partition_by=[PartitionColumn(name="p", grain=Grain.VALUE, pointer="/p")])
    lines = (b'{"p":"x","a":1}', b'{"p":"y","b":2,"a":3}', b'{"p":"x","b":4,"c":5}')
    # Of three buckets each has a row, and other members in turn.
    sources = [folder.source([line] * 3, str(n)) for n, line in enumerate(lines)]
    rows = folder.run(whole(*sources), plan).rows
    staged = [row for each in folder.run_stages(sources, plan) for row in each.rows]
    assert sorted(rows, key=repr) == sorted(staged, key=repr)
    assert {tuple(row.values()) for _, row in rows} == {(1, None, None), (3, 2, None), (None, 4, 5)}


def test_columns_of_one_pointer_have_their_own_values_in_every_way(folder: Folder) -> None:
    def column(name: str, of: Scalar | None = None) -> ExportColumn:
        return ExportColumn(name=name, pointer=f"/{name[0]}", type=of)

    columns = [
        column("a"),
        column("a1", Scalar(Kind.VARCHAR, (9,))),
        column("a2", Scalar(Kind.STRING)),
        column("a3", Scalar(Kind.CHAR, (9,))),
        column("a4", JSON_TEXT),
        column("b", Scalar(Kind.BIGINT)),
        column("b1", Scalar(Kind.DOUBLE)),
        column("b2"),
        column("b3", Scalar(Kind.STRING)),
        column("b4", Scalar(Kind.STRING)),
        column("k"),
    ]
    plan = Plan(key=["/k"], columns=columns, on_bad_row=OnBadRow.DEAD_LETTER, max_bad_rows=9)
    lines = [
        b'{"k":1,"a":"x","b":1}',
        rb'{"k":2, "a":"\u0061b","b":2.0}',
        b'{"k":3, "a":"too long a text","b":3}',
        b'{"k":4}',
    ]
    wanted = [
        ("x", "x", "x", "x", '"x"', 1, 1.0, 1.0, "1", "1", 1),
        ("ab", "ab", "ab", "ab", '"\\u0061b"', 2, 2.0, 2.0, "2.0", "2.0", 2),
        (None,) * 10 + (4,),
    ]
    sources = [folder.source(lines[:1], "0"), folder.source(lines[1:], "1")]
    at_once = folder.run(whole(*sources), plan)
    first = folder.run(whole(folder.source(lines[:2], "2")), plan)
    newer = folder.source(lines[2:], "3")
    continued = folder.run(whole(newer, base=first.held), plan)
    staged = folder.run_stages(sources, plan)
    for results in ([at_once], [continued], staged):
        rows = [tuple(row.values()) for each in results for _, row in each.rows]
        assert sorted(rows, key=lambda row: row[-1]) == wanted
    [bad] = at_once.report.bad
    assert (bad.pointer, bad.message) == ("/a", "has more than 9 characters")


def test_columns_come_in_the_order_of_their_first_appearance(folder: Folder) -> None:
    # DuckDB cannot parse the line in the middle.
    lines = [b'{"a":1}', rb'{"c":"\ud800\udc00","b":[1,"\ud800"]}', b'{"d":1}', b'{"e" :1,"b":2}']
    plan = Plan(on_bad_row=OnBadRow.DEAD_LETTER, max_bad_rows=9)
    sources = [folder.source(lines[:3], "0"), folder.source(lines[3:], "1")]
    for results in ([folder.run(whole(*sources), plan)], folder.run_stages(sources, plan)):
        names = [column.name for column in results[0].report.columns]
        assert names == ["a", "c", "b", "d", "e"]
        assert all(list(row) == names for each in results for _, row in each.rows)


@pytest.mark.parametrize("first", [b"{}", b'{"\\u0061":1}'])
def test_members_that_turn_up_late_are_columns(folder: Folder, first: bytes) -> None:
    source = folder.source([*[first] * 1_200, b'{"late":1}'])
    assert folder.run(whole(source), Plan()).rows[-1][1]["late"] == 1


def test_the_last_of_equal_names_counts_on_the_way_to_a_value(folder: Folder) -> None:
    line = b'{"a":{"b":{"c":1}},"a":{"b":{"c":2},"b":{"c":3}}}'
    column = ExportColumn(name="v", pointer="/a/b/c", type=Scalar(Kind.BIGINT))
    assert folder.run(whole(folder.source([line])), Plan(columns=[column])).rows == [((), {"v": 3})]


def test_records_without_members_are_no_table_in_both_ways(folder: Folder) -> None:
    sources = [folder.source([b"{}"], n) for n in "01"]
    for run in (
        lambda: folder.run(whole(*sources), Plan()),
        lambda: folder.run_stages(sources, Plan()),
    ):
        with pytest.raises(TaskFailed, match="no member") as caught:
            run()
        assert caught.value.kind == "columns_differ"


@pytest.mark.parametrize(
    ("values", "mixed_at"),
    [
        # Lines of the first and of the second file, and where the column becomes JSON.
        (['"a"', '"b"', "77", '"c"', "78"], ("0", 3)),
        (['"a"', '"b"', '"c"', "77", '"d"'], ("1", 0)),
        (["null", '"a"', '"b"', "null", "true"], ("1", 1)),
        (["1", "0.5", "2", "1234567890123456", "3"], ("1", 0)),
        (["1", "2", "1234567890123456", "4", "5"], None),
        (['{"a":1}', '"b"', "1", "2", "3"], None),
        (['"a"', '"b"', '"c"', '"d"', '"e"'], None),
    ],
)
def test_the_value_that_makes_a_column_json_is_named_in_both_ways(
    folder: Folder, values: Sequence[str], mixed_at: tuple[str, int] | None
) -> None:
    lines = [f'{{"v":{value}}}'.encode() for value in values]
    # A blank line is a line, and no record.
    sources = [folder.source([lines[0], b"", *lines[1:3]], "0"), folder.source(lines[3:], "1")]
    for results in ([folder.run(whole(*sources), Plan())], folder.run_stages(sources, Plan())):
        for result in results:
            [column] = result.report.columns
            place = column.mixed_at
            assert (place and (place.path, place.line)) == mixed_at
            assert column.kinds == ()
    assert folder.run(whole(*sources), Plan()).report.columns == results[0].report.columns


def test_places_of_mixed_columns_are_found_without_their_records(folder: Folder) -> None:
    columns = [ExportColumn(name=f"m{n}", pointer=f"/m{n}") for n in range(16)]
    blob = b"abcdefgh" * 2**17
    lines = [b'{"blob":"%s","m%d":"s"}' % (blob, n) for n in range(len(columns))]
    numbers = b",".join(b'"m%d":1' % n for n in range(len(columns)))
    source = folder.source([b"{%s}" % numbers, *lines])
    tracemalloc.start()
    try:
        result = folder.run(whole(source), Plan(columns=columns))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    places = [column.mixed_at for column in result.report.columns]
    assert [place and place.line for place in places] == list(range(1, len(columns) + 1))
    # Some lines at once, not one for each column.
    assert peak < 8 * len(blob)


def test_a_newer_value_of_another_kind_is_named(folder: Folder) -> None:
    plan = Plan(key=["/k"])
    base = folder.run(whole(folder.source([b'{"k":1,"v":"a"}'], "0")), plan)
    newer = folder.source([b'{"k":2,"v":"b"}', b'{"k":3,"v":77}'], "1")
    with pytest.raises(TaskFailed, match=r"'v' was string .* an integer in 1, line 1; ") as caught:
        folder.run(whole(newer, base=base.held), plan)
    assert caught.value.details == {"path": "1", "line": 1, "pointer": "/v"}
    assert "such as string" in str(caught.value)
    # What is mixed in the earlier export stays so, and is named as there.
    mixed = folder.run(whole(folder.source([b'{"k":1,"v":"a"}', b'{"k":2,"v":1}'], "0")), plan)
    continued = folder.run(whole(newer, base=mixed.held), plan)
    assert mixed.report.columns == continued.report.columns
    assert mixed.report.columns[1].mixed_at is not None
