"""An export on top of an earlier one: the files together are those of an export of all lines."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from app.exports.plan import layout
from app.exports.plan.model import ExportColumn, Grain, PartitionColumn, Plan, TaskFailed
from app.schemas.ddl.types import Kind, Scalar
from tests.exports.plan.tasks import Folder, Row, rows_of, whole

PLAN = Plan(
    key=["/k"],
    latest_by="/t",
    partition_by=[
        PartitionColumn(name="day", grain=Grain.DAY, pointer="/t"),
        PartitionColumn(name="p", grain=Grain.VALUE, pointer="/p"),
    ],
)
EARLIER = (
    b'{"n":0,"k":"same","t":"2021-01-01T00:00:00Z","p":"x"}',
    b'{"n":1,"k":"moves","t":"2021-01-02T00:00:00Z","p":"x"}',
    b'{"n":2,"k":"equal","t":"2021-01-03T00:00:00.0000001Z","p":"x"}',
    b'{"n":3,"k":"newer","t":"2021-01-04T00:00:00Z","p":null}',
    b'{"n":4,"k":"beside","t":"2021-01-05T00:00:00Z","p":"x"}',
    b'{"n":5,"k":"alone","t":"2021-01-06T00:00:00Z","p":"x/y"}',
)
LATER = (
    b'{"n":6,"k":"moves","t":"2021-01-05T00:00:00Z","p":"x"}',
    b'{"n":7,"k":"equal","t":"2021-01-03T00:00:00.0000001Z","p":"x"}',
    b'{"n":8,"k":"newer","t":"2021-01-03T00:00:00Z","p":null}',
    b'{"n":9,"k":"fresh","t":"2021-01-07T00:00:00Z","p":"z"}',
    b'{"n":10,"k":"moves","t":"2021-01-04T23:00:00Z","p":"x"}',
)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_files_that_stay_and_new_ones_are_an_export_of_all(folder: Folder) -> None:
    earlier, later = folder.source(EARLIER, "0"), folder.source(LATER, "1")
    base = folder.run(whole(earlier), PLAN).held
    result = folder.run(whole(later, base=base), PLAN)
    replaced = {n: list(base[n].partition) for n in result.report.replaced}
    stay = [row for n, held in enumerate(base) if n not in replaced for row in rows_of(held)]
    assert _by_number(folder.run(whole(earlier, later), PLAN).rows) == _by_number(
        [*stay, *result.rows]
    )
    # The partition of `moves` ends empty; those of `same` and `alone` are not touched.
    assert sorted(replaced.values(), key=repr) == [
        ["02", "x"],
        ["03", "x"],
        ["04", None],
        ["05", "x"],
    ]


def test_partitions_that_stay_count_as_those_that_are_written(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "MAX_EXPORT_PARTITIONS", 5)
    plan = Plan(
        key=["/k"], partition_by=[PartitionColumn(name="p", grain=Grain.VALUE, pointer="/p")]
    )
    lines = [b'{"k":%d,"p":"%d","n":0}' % (n, n) for n in range(6)]
    base = folder.run(whole(folder.source(lines[:3], "0")), plan).held
    # Three stay, or two of them and one that is written anew.
    fit = [*lines[3:5], b'{"k":0,"p":"0","n":1}']
    assert len(folder.run(whole(folder.source(fit, "1"), base=base), plan).held) == 3
    output = folder.path / "refused"
    output.mkdir()
    with pytest.raises(TaskFailed, match="6 partitions") as caught:
        folder.run(whole(folder.source(lines[3:], "2"), base=base), plan, output=output)
    assert caught.value.kind == "too_many_partitions"
    assert list(output.iterdir()) == []


def _by_number(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: int(row[1]["n"]))


def test_without_a_key_lines_are_added(folder: Folder) -> None:
    plan = Plan(partition_by=PLAN.partition_by)
    earlier, later = folder.source(EARLIER, "0"), folder.source(LATER, "1")
    base = folder.run(whole(earlier), plan).held
    result = folder.run(whole(later, base=base), plan)
    stay = [
        row for n, h in enumerate(base) if n not in result.report.replaced for row in rows_of(h)
    ]
    assert list(range(11)) == [row[1]["n"] for row in _by_number([*stay, *result.rows])]


@pytest.mark.parametrize(
    ("line", "named"),
    [
        (b'{"n":"text","k":"a","t":"2021-01-01","p":"x"}', "'n'"),
        (b'{"n":1.5,"k":"a","t":"2021-01-01","p":"x"}', "'n'"),
        (b'{"n":1,"k":"a","t":"2021-01-01","p":"x","more":1}', "'more'"),
    ],
)
def test_columns_that_differ_refuse_to_go_on(folder: Folder, line: bytes, named: str) -> None:
    base = folder.run(whole(folder.source(EARLIER, "0")), PLAN).held
    source = replace(folder.source([EARLIER[0], line], "1"), first_line=1)
    with pytest.raises(TaskFailed, match=f"{named}.* in {source.path}, line 2;") as caught:
        folder.run(whole(source, base=base), PLAN)
    assert caught.value.kind == "columns_differ"
    place = caught.value.details
    assert (place["path"], place["line"], place["pointer"]) == (source.path, 2, f"/{named[1:-1]}")


def test_every_integer_that_is_a_key_finds_its_row(folder: Folder) -> None:
    keys = (10**18 - 1, 10**18 - 64, -(10**18) + 1, 10**17, -(10**17), 120, 0)
    earlier, later = (
        folder.source([b'{"k":%d,"t":%d}' % (key, t) for key in keys], str(t)) for t in (1, 2)
    )
    plan = Plan(key=["/k"], latest_by="/t")
    base = folder.run(whole(earlier), plan).held
    result = folder.run(whole(later, base=base), plan)
    assert result.report.replaced == [0]
    assert sorted((row["k"], row["t"]) for _, row in result.rows) == [(k, 2) for k in sorted(keys)]


def test_columns_may_have_names_that_mean_something_to_duckdb(folder: Folder) -> None:
    line = b'{"k":"a","t":"2021-01-0%d","p":"x","rowid":7,"file":1,"number":2,"g0":3,"d0":4,"c0":5}'
    earlier, later = folder.source([line % 1], "0"), folder.source([line % 2], "1")
    base = folder.run(whole(earlier), PLAN).held
    [(partition, row)] = folder.run(whole(later, base=base), PLAN).rows
    assert partition == ("02", "x")
    assert {"rowid": 7, "file": 1, "number": 2, "g0": 3, "d0": 4, "c0": 5}.items() <= row.items()
    assert folder.run(whole(earlier, later), PLAN).rows == [(partition, row)]
    staged = folder.run_stages([earlier, later], PLAN)
    assert [row for each in staged for row in each.rows] == [(partition, row)]


@pytest.mark.parametrize(
    ("of", "order", "fine"),
    [
        (
            Scalar(Kind.TIMESTAMP),
            b'"2021-01-01T00:00:00.0000001Z"',
            b'"2021-01-01T00:00:00.000001Z"',
        ),
        (Scalar(Kind.DOUBLE), b"0.12345678901234567891", b"0.1234567890123456"),
        (Scalar(Kind.STRING), b"2021", b'"2021-01-01"'),
    ],
)
def test_what_the_files_do_not_keep_of_an_order_is_refused(
    folder: Folder, of: Scalar, order: bytes, fine: bytes
) -> None:
    columns = [
        ExportColumn(name=n, pointer=f"/{n}", type=t, source="request")
        for n, t in (("k", Scalar(Kind.INT)), ("t", of))
    ]
    plan = Plan(key=["/k"], latest_by="/t", columns=columns)
    lines = [b'{"k":1,"t":%s}' % each for each in (order, fine)]
    last = folder.source([lines[0]], "last")
    for number, line in enumerate(lines):
        sources = [folder.source([line], f"{number}")]
        base = folder.run(whole(*sources), plan).held
        [staged] = folder.run_stages(sources, plan)
        for held in (base, staged.held):
            if line == lines[1]:
                assert len(folder.run(whole(last, base=held), plan).rows) == 1
                continue
            with pytest.raises(TaskFailed, match="omit `since`") as caught:
                folder.run(whole(last, base=held), plan)
            assert caught.value.kind == "columns_differ"


def test_only_the_partition_whose_order_the_files_do_not_keep_is_refused_and_named(
    folder: Folder,
) -> None:
    columns = [
        ExportColumn(name="k", pointer="/k"),
        ExportColumn(name="t", pointer="/t", type=Scalar(Kind.TIMESTAMP), source="request"),
    ]
    levels = [PartitionColumn(name="p", grain=Grain.VALUE, pointer="/p")]
    plan = Plan(key=["/k"], latest_by="/t", columns=columns, partition_by=levels)
    lines = [
        # No file has it.
        b'{"k":1,"p":"fine","t":"2020-01-01T00:00:00.123456789Z"}',
        b'{"k":1,"p":"fine","t":"2021-01-01T00:00:00Z"}',
        b'{"k":2,"p":"a b/c","t":"2021-01-01T00:00:00.123456789Z"}',
        b'{"k":3,"p":"too","t":"2021-01-01T00:00:00Z"}',
    ]
    source = folder.source(lines, "0")
    fine = folder.source([line.replace(b"2021", b"2022") for line in (lines[1], lines[3])], "1")
    all_of_it = folder.source([line.replace(b"2021", b"2022") for line in lines], "2")
    staged = [held for each in folder.run_stages([source], plan) for held in each.held]
    for base in (folder.run(whole(source), plan).held, staged):
        result = folder.run(whole(fine, base=base), plan)
        replaced = {tuple(base[n].partition) for n in result.report.replaced}
        assert replaced == {("fine",), ("too",)} == {partition for partition, _ in result.rows}
        with pytest.raises(TaskFailed, match=r"^/t: a value in p=a b%2Fc had more digits .* json"):
            folder.run(whole(all_of_it, base=base), plan)


def test_a_requested_text_that_is_a_number_is_no_key(folder: Folder) -> None:
    columns = [ExportColumn(name="k", pointer="/k", type=Scalar(Kind.STRING), source="request")]
    plan = Plan(key=["/k"], columns=columns)
    base = folder.run(whole(folder.source([b'{"k":1}'], "0")), plan).held
    with pytest.raises(TaskFailed, match="a number or a string"):
        folder.run(whole(folder.source([b'{"k":"1"}'], "1"), base=base), plan)
