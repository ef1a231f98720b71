"""Requests of tests that re-drive failed work over HTTP."""

from typing import Any

import httpx

from tests.support.system import System, until


def redrive(system: System, filter_: dict[str, Any], **more: object) -> httpx.Response:
    return system.client.post("/redrives", json={"filter": filter_, **more})


def created(answer: httpx.Response) -> str:
    assert answer.status_code == 202, answer.text
    location: str = answer.headers["Location"]
    assert location == answer.json()["url"]
    return location


def ended(system: System, location: str) -> dict[str, Any]:
    for _ in until(f"{location} has ended"):
        shown: dict[str, Any] = system.client.get(location).json()
        if shown["finished_at"] is not None:
            return shown
    raise AssertionError


def counts(shown: dict[str, Any]) -> tuple[int, int, int, int, int]:
    names = ("matched", "moved", "failed_again", "left_out", "remaining")
    matched, moved, failed_again, left_out, remaining = (shown[name] for name in names)
    assert matched == moved + failed_again + left_out + remaining
    return matched, moved, failed_again, left_out, remaining
