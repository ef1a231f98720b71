"""Entries of the audit log, for its tests."""

from typing import Any, Final

from tests.support.system_with_keys import SystemWithKeys

SOURCE: Final = "function process(data) { return 'hidden-in-a-source' }"


def found_entries(keyed: SystemWithKeys, **wanted: object) -> list[dict[str, Any]]:
    answer = keyed.get("/audit", params=wanted)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found
