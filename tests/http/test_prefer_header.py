"""The Prefer header is read as in RFC 7240; unreadable values are ignored."""

from collections.abc import Sequence
from typing import Any, cast

import pytest
from litestar import Request
from litestar.testing import RequestFactory

from app.http.prefer_header import preferred_wait
from tests.support.system import System


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], None),
        ([""], None),
        (["wait=10"], 10),
        (["wait=0"], 0),
        (["Wait = 10"], 10),
        (['wait="10"'], 10),
        (["wait=10; reason=patience"], 10),
        (["wait=3600"], 60),
        (["respond-async, wait=10"], 10),
        (["respond-async", "wait=10"], 10),
        (["handling=lenient;wait=3, wait=10"], 10),
        (['foo="a, wait=3", wait=10'], 10),
        # Only the first counts (RFC 7240, 2).
        (["wait=10, wait=20"], 10),
        (["wait=soon, wait=20"], None),
        (["wait"], None),
        (["wait="], None),
        (["wait=-1"], None),
        (["wait=1.5"], None),
        (["wait=+1"], None),
        (["wait=1e1"], None),
        (["wait=\u0661"], None),
        (["wait=99999999999999999999"], None),
        (["await=10"], None),
        (["waiting=10"], None),
        (['"wait=10"'], None),
        (['"' * 999 + "wait=10"], None),
        (["x," * 600 + "wait=10"], None),
    ],
)
def test_the_preferred_seconds_are_read(lines: Sequence[str], expected: int | None) -> None:
    request = RequestFactory().get()
    headers = [(b"prefer", line.encode("utf-8")) for line in lines]
    scope = cast("Any", {**request.scope, "headers": headers})

    assert preferred_wait(Request(scope), max_seconds=60) == expected


@pytest.mark.parametrize("wait", ["61", "600", "1e9", "inf"])
def test_a_longer_wait_is_capped(system: System, wait: str) -> None:
    system.upload(f"waits-cut-{wait}", "const process = data => data")
    location = system.submit(f"waits-cut-{wait}", b"1")

    by_query = system.client.get(location, params={"wait": wait})
    by_header = system.client.get(location, headers={"Prefer": "wait=600"})

    assert (by_query.status_code, by_header.status_code) == (200, 200)
    assert by_query.json() == by_header.json()
    assert by_header.headers["Preference-Applied"] == "wait=60"
