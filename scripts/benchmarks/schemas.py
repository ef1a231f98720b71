"""Measure validation by schemas in a cell, against orjson and jsonschema-rs in Python."""

import argparse
import importlib
import json
import os
import random
import statistics
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final

import jsonschema_rs
import uvloop
from msgspec.structs import replace

from app.sandbox.cell_pool import PoolConfig
from app.sandbox.outcomes import Job, Succeeded
from app.sandbox.parts import OnError, Part, Task
from app.sandbox.pool import SandboxPool, open_pool
from app.sandbox.schema_checks import Checks, SchemaSet
from scripts.benchmarks.output import new_line, print_line
from scripts.benchmarks.streams import stream_job

_URI: Final = "crivo:/schemas/orders@1"
_MONEY_URI: Final = "crivo:/schemas/money@1"
_SCHEMAS: Final[dict[str, Any]] = {
    _URI: {
        "type": "object",
        "properties": {
            "id": {"type": "string", "pattern": "^o-[0-9]{8}$"},
            "type": {"enum": ["order.created", "order.paid", "order.shipped"]},
            "at": {"type": "string", "minLength": 20, "maxLength": 30},
            "customer": {
                "type": "object",
                "properties": {"id": {"type": "integer", "minimum": 1}, "vip": {"type": "boolean"}},
                "required": ["id"],
                "additionalProperties": False,
            },
            "lines": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "properties": {
                        "sku": {"type": "string"},
                        "count": {"type": "integer", "minimum": 1, "maximum": 1000},
                    },
                    "required": ["sku", "count"],
                    "additionalProperties": False,
                },
            },
            "total": {"$ref": _MONEY_URI},
        },
        "required": ["id", "type", "customer", "lines"],
        "additionalProperties": False,
    },
    _MONEY_URI: {
        "type": "object",
        "properties": {"amount": {"type": "number"}, "currency": {"type": "string"}},
        "required": ["amount"],
        "additionalProperties": False,
    },
}
_TYPES: Final = ("order.created", "order.paid", "order.shipped")
_PIECE_BYTES: Final = 128 * 1024
_DROPS: Final = b"const map = event => null, process = map"
# The goals of the issue.
_OF_ORJSON: Final = 0.6
_OF_JSONSCHEMA: Final = 0.5


_PLAIN: Final = "the same without a schema"
_PEERS: Final = {
    "orjson": ("orjson.loads, objects kept", _OF_ORJSON),
    "jsonschema-rs": ("orjson.loads and jsonschema-rs is_valid, objects let go", _OF_JSONSCHEMA),
}


def main(arguments: Sequence[str]) -> int:
    """Measure CPU time, by turns, and print; without orjson, nothing is compared with Python."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench schemas", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--quick", action="store_true", help="one run of tiny numbers")
    chosen = parser.parse_args(arguments)
    try:
        loads = importlib.import_module("orjson").loads
    except ImportError:
        loads = None
    runs, events, executions = chosen.runs, chosen.events, 200
    if chosen.quick:
        runs, events, executions = 1, 200, 3
    uvloop.run(_measure(loads, runs=runs, events=events, executions=executions))
    return 0


async def _measure(
    loads: Callable[[bytes], Any] | None, *, runs: int, events: int, executions: int
) -> None:
    lines = _lines(events)
    text = b"\n".join(lines)
    is_valid = _validator().is_valid
    documents = {uri: json.dumps(each).encode() for uri, each in _SCHEMAS.items()}
    checked = Checks(schemas=SchemaSet(documents), input=_URI)
    rates: dict[str, list[float]] = {}
    spent_ms: dict[str, list[float]] = {}

    def note(name: str, cpu_s: float) -> None:
        rates.setdefault(name, []).append(events / cpu_s)

    async with open_pool(PoolConfig(cells=1, warm=0)) as pool:
        for turn in range(runs + 1):
            if turn == 1:  # the first warms up
                rates.clear()
                spent_ms.clear()
            if loads is not None:
                note("orjson", _time(lambda: [loads(line) for line in lines]))
            note("checked", await _stream(pool, checked, text, events))
            if loads is not None:
                note("jsonschema-rs", _time(lambda: [is_valid(loads(line)) for line in lines]))
            note("plain", await _stream(pool, None, text, events))
            for name, checks in (("checked", checked), ("plain", None)):
                median_ms = await _execute(pool, checks, lines[0], executions)
                spent_ms.setdefault(name, []).append(median_ms)
    common = {"cpus": os.cpu_count(), "events": events, "event_bytes": len(text) // events}
    print_line(
        new_line(
            "schemas-stream",
            unit="events per second of CPU",
            runs=rates["checked"],
            baseline=(_PLAIN, rates["plain"]),
        ),
        **common,
    )
    for name, (baseline, goal) in _PEERS.items():
        if name in rates:
            print_line(
                new_line(
                    f"schemas-{name}",
                    unit="events per second of CPU",
                    runs=rates["checked"],
                    baseline=(baseline, rates[name]),
                    goal=goal,
                    goal_of="ratio",
                    at_least=True,
                ),
                **common,
            )
    print_line(
        new_line(
            "schemas-execution",
            unit="ms in a used cell",
            runs=spent_ms["checked"],
            baseline=(_PLAIN, spent_ms["plain"]),
        ),
        **common,
    )


def _validator() -> Any:  # noqa: ANN401 - of a library
    registry = jsonschema_rs.Registry([(_MONEY_URI, _SCHEMAS[_MONEY_URI])])
    return jsonschema_rs.Draft202012Validator(_SCHEMAS[_URI], registry=registry)


def _lines(count: int) -> list[bytes]:
    draw = random.Random(1)  # noqa: S311 - fixed events
    return [_event(draw, number) for number in range(count)]


def _event(draw: random.Random, number: int) -> bytes:
    event = {
        "id": f"o-{number:08}",
        "type": draw.choice(_TYPES),
        "at": f"2026-11-{draw.randrange(10, 30)}T10:{draw.randrange(10, 60)}:00.123Z",
        "customer": {"id": draw.randrange(1, 10**6), "vip": draw.choice((True, False))},
        "lines": [
            {"sku": f"sku-{draw.randrange(1000):04}", "count": draw.randrange(1, 20)}
            for _ in range(2)
        ],
        "total": {"amount": round(draw.random() * 1000, 2), "currency": "EUR"},
    }
    return json.dumps(event, separators=(",", ":")).encode()


def _time(work: Callable[[], object]) -> float:
    """Return the CPU time of this process, in seconds."""
    began = time.process_time()
    made = work()
    seconds = time.process_time() - began
    del made
    return seconds


async def _stream(pool: SandboxPool, checks: Checks | None, text: bytes, events: int) -> float:
    """Let the events through a map that drops them; return the CPU time of the cell."""
    report = await pool.stream(
        _job(checks),
        Part(task=Task.MAP, on_error=OnError.SKIP),
        sink=_discard,
        chunks=_pieces(text),
    )
    if not isinstance(report.outcome, Succeeded) or report.rows != (events, 0, 0):
        message = f"not all events are valid: {report.outcome}, {report.rows}"
        raise RuntimeError(message)
    return report.usage.cpu_ms / 1_000


async def _execute(
    pool: SandboxPool, checks: Checks | None, event: bytes, executions: int
) -> float:
    """Process one event as often; return the median of their times."""
    spent_ms = []
    for _ in range(executions):
        report = await pool.run(_job(checks), payload=event, sink=_discard)
        if not isinstance(report.outcome, Succeeded):
            message = f"not a success: {report.outcome}"
            raise RuntimeError(message)  # noqa: TRY004 - not an argument of a wrong type
        spent_ms.append(report.usage.run_ms)
    return statistics.median(spent_ms)


def _job(checks: Checks | None) -> Job:
    return replace(stream_job(_DROPS), checks=checks)


async def _pieces(text: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(text), _PIECE_BYTES):
        yield text[start : start + _PIECE_BYTES]


async def _discard(_chunk: bytes) -> None:
    """Expect no output."""
