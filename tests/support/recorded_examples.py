"""Compare responses with those that examples of the OpenAPI document record."""

import json
from typing import Any, Final

Json = Any

# Values that differ between systems, by name or by operation and name: only their types are
# compared.
VOLATILE: Final = frozenset(
    (
        "clock_ms",
        "seed",
        "queued_ms",
        "run_ms",
        "lead_ms",
        "cpu_ms",
        "peak_memory_bytes",
        "v8_version",
        "next_cursor",
        "stored_bytes",
        "lockdown",
        "workers",
        "key",
        "token",
        "request_id",
        "listChanges id",
        "showBatchResults id",
        "secret",
        "listCallbacks attempts",
        "resendCallback attempts",
        "cpu_ratio",
        "showComparison execution",
        "createComparison batch",
        "showComparison batch",
        "listBatchCallbacks attempts",
        "resendBatchCallback attempts",
        "listRunErrors execution",
        "listRunCallbacks attempts",
        "resendRunCallback attempts",
        "listExportCallbacks attempts",
        "resendExportCallback attempts",
        # Of paths that have the id of the export.
        "createExport output_sha256",
        "showExport output_sha256",
        "showExportManifest output_sha256",
        "rows_per_second",
        "bytes_per_second",
        "remaining_seconds",
        "v8_versions",
        "oldest_seconds",
        "cancelRedrive batch_url",
    )
)

# Members that are there or not, by what a worker has done meanwhile.
OPTIONAL: Final = {"cancelRedrive": {"batch_url"}}

# Lines of a metrics page.
METRICS: Final = "# HELP "


def assert_equal(expected: Json, actual: Json, where: str) -> None:
    """Compare a response with the recorded one; volatile values by type only."""
    assert type(expected) is type(actual), (where, expected, actual)
    if isinstance(expected, dict):
        assert expected.keys() ^ actual.keys() <= OPTIONAL.get(where.partition(":")[0], set()), (
            where
        )
        for name in expected.keys() & actual.keys():
            member = expected[name]
            of_operation = f"{where.partition(':')[0]} {name}"
            if {name, of_operation} & VOLATILE or name.endswith("_at"):
                assert (member is None) == (actual[name] is None), (where, name)
            else:
                assert_equal(member, actual[name], f"{where} {name}")
    elif isinstance(expected, list):
        assert len(expected) == len(actual), where
        for number, (left, right) in enumerate(zip(expected, actual, strict=True)):
            assert_equal(left, right, f"{where} {number}")
    elif isinstance(expected, str) and expected.startswith(METRICS):
        meanings = [line for line in expected.splitlines() if line.startswith(METRICS)]
        assert [each for each in meanings if each not in actual] == [], where
    elif isinstance(expected, str) and expected.startswith('{"line":'):
        assert_equal(_lines(expected), _lines(actual), where)
    elif isinstance(expected, str) and "\ndata: " in expected:
        assert_equal(_events(expected), _events(actual), where)
    else:
        assert expected == actual, where


def _lines(text: str) -> list[Json]:
    return [json.loads(line) for line in text.splitlines()]


def _events(text: str) -> list[Json]:
    """Parse server-sent events; only their data differs between systems."""
    lines = [line.partition(": ") for line in text.splitlines() if line]
    return [[name, json.loads(value) if name == "data" else value] for name, _, value in lines]
