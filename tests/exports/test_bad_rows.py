"""Bad rows are listed as the attempt that counts has found them, until they are deleted."""

from uuid import UUID

from app.exports.retention import DELETE_ERRORS
from tests.exports.stored_exports import StoredError, execute, stored
from tests.support.system import System


def test_bad_rows_of_the_attempt_that_counts_are_listed(system: System) -> None:
    bad = [
        StoredError(line=3, record=b"x" * 2_000),
        StoredError(line=3, token=6),
        StoredError(line=9, record=b'"\xff"'),
    ]
    address = stored(system, errors=bad)

    first = system.client.get(f"{address}/errors", params={"limit": 1, "excerpt": "true"}).json()
    cursor = first["next_cursor"]
    second = system.client.get(
        f"{address}/errors", params={"cursor": cursor, "excerpt": "true"}
    ).json()
    plain = system.client.get(f"{address}/errors").json()["items"]

    error = {"kind": "bad_timestamp", "message": "is no moment", "pointer": "/timestamp"}
    [item] = first["items"]
    assert item == {"path": "a.jsonl", "line": 3, "error": error, "excerpt": "x" * 1_024}
    assert [each["excerpt"] for each in second["items"]] == ['"\ufffd"']
    assert second["next_cursor"] is None
    assert [(each["line"], "excerpt" in each) for each in plain] == [(3, False), (9, False)]
    other = system.client.get(f"{stored(system)}/errors", params={"cursor": cursor})
    assert other.status_code == 422


def test_once_bad_rows_are_deleted_none_are_listed_as_if_there_were_none(system: System) -> None:
    old = stored(system, errors=[StoredError(line=3)])
    without = stored(system)
    execute(
        system,
        "UPDATE exports SET created_at = now() - interval '90 days', "
        "started_at = now() - interval '90 days', finished_at = now() - interval '80 days', "
        "rows_failed = CASE id WHEN $1 THEN 1 ELSE 0 END WHERE id = ANY ($2)",
        UUID(old.rpartition("/")[2]),
        [UUID(each.rpartition("/")[2]) for each in (old, without)],
    )
    assert system.client.get(f"{old}/errors").status_code == 200
    execute(system, DELETE_ERRORS, 30, 10)

    gone = system.client.get(f"{old}/errors")

    assert (gone.status_code, gone.json()["type"]) == (
        410,
        "urn:crivo:problem:export-errors-deleted",
    )
    assert system.client.get(f"{without}/errors").json()["items"] == []
