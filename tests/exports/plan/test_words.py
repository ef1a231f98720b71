"""Moments, numbers and names of folders, each against a definition that is not ours."""

import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, strategies as st

from app.exports.plan.fitting import Misfit, fitted
from app.exports.plan.hive import escape, folders
from app.exports.plan.model import Grain, PartitionColumn
from app.exports.plan.moments import parse_moment
from app.exports.plan.numbers import canonical, order_of
from app.schemas.ddl.types import Kind, Scalar

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBERS = st.from_regex(
    r"-?(0|[1-9][0-9]{0,45})(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,2})?", fullmatch=True
)


@given(
    st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1)),  # noqa: DTZ001
    st.integers(-23 * 60 - 59, 23 * 60 + 59),
    st.integers(0, 999),
)
def test_moments_are_those_of_datetime(plain: datetime, offset: int, nanoseconds: int) -> None:
    moment = plain.replace(tzinfo=timezone(timedelta(minutes=offset)))
    sign, minutes = "-" if offset < 0 else "+", abs(offset)
    text = f"{plain:%H:%M:%S}.{plain.microsecond:06d}{nanoseconds:03d}"
    text = f"{plain.date().isoformat()}T{text}{sign}{minutes // 60:02d}:{minutes % 60:02d}"
    found = parse_moment(text)
    assert (moment - _EPOCH) // timedelta(microseconds=1) == found.us
    assert f"{nanoseconds:03d}".rstrip("0") == found.rest


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2021", "2021-01-01T00:00:00Z"),
        ("2021-03", "2021-03-01T00:00:00Z"),
        ("2020-02-29", "2020-02-29T00:00:00Z"),
        ("2021-01-14T10", "2021-01-14T10:00:00Z"),
        ("2021-01-14 10:30+0130", "2021-01-14T09:00:00Z"),
        ("2021-01-14t10:30:00z", "2021-01-14T10:30:00Z"),
    ],
)
def test_missing_parts_of_a_moment_are_its_beginning(text: str, same: str) -> None:
    assert parse_moment(text) == parse_moment(same)


@pytest.mark.parametrize(
    "text",
    [
        *("", "now", "21-01-14", "2021-1-4", "2021-02-29", "2021-13-01", "2021-01-14T24:00:00Z"),
        *(
            "2021-01-14T10:30:60Z",
            "2021-01-14T10:30:00+24:00",
            "0000-01-01",
            "\uff12\uff10\uff12\uff11",
        ),
        *("0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "2021-01-14T10:30:00 Z"),
    ],
)
def test_other_texts_are_no_moments(text: str) -> None:
    with pytest.raises(ValueError, match=r"^(is|has) "):
        parse_moment(text)


@pytest.mark.parametrize(
    ("value", "of", "message"),
    [
        (b'"2021-01-14T23:59:60Z"', Scalar(Kind.TIMESTAMP), "a leap second, which a script can"),
        (b"1610620200", Scalar(Kind.TIMESTAMP), "is a number, which says no time; a script can"),
        (b"1.005", Scalar(Kind.DECIMAL, (4, 2)), "is 1.005, which is no decimal(4,2) without"),
        (b"1.5", Scalar(Kind.BIGINT), "is 1.5, which is no integer of type bigint"),
        (b"1e400", Scalar(Kind.DOUBLE), "is 1e400, beyond the numbers of type double"),
    ],
)
def test_a_bad_value_says_what_it_is_or_what_mends_it(
    value: bytes, of: Scalar, message: str
) -> None:
    with pytest.raises(Misfit, match=re.escape(message)):
        fitted(value, of)


@given(_NUMBERS, _NUMBERS)
def test_numbers_are_equal_and_ordered_by_their_exact_values(a: str, b: str) -> None:
    left, right = Fraction(Decimal(a)), Fraction(Decimal(b))
    assert (left == right) == (canonical(a) == canonical(b))
    assert (left < right) == (order_of(a) < order_of(b))
    assert (left == right) == (order_of(a) == order_of(b))


def test_integers_of_18_digits_are_their_own_canonical_text() -> None:
    assert canonical("1e17") == "1" + "0" * 17
    assert canonical("-1.0") == "-1"
    assert canonical("-0.0") == "0"
    assert canonical("1000000000000000000") == "1e18"


def test_folders_are_named_as_hive_names_them() -> None:
    # FileUtils.escapePathName, with its list of characters.
    special = "".join(map(chr, range(1, 0x20))) + "\"#%'*/:=?\\\x7f{[]^"
    assert escape(special) == "".join(f"%{ord(c):02X}" for c in special)
    assert escape("a b-é.~}|<>") == "a b-é.~}|<>"
    levels = [PartitionColumn(name=name, grain=Grain.VALUE, pointer=f"/{name}") for name in "a/"]
    assert folders(levels, ["x/y", None]) == "a=x%2Fy/%2F=__HIVE_DEFAULT_PARTITION__"
