"""The asynchronous client does what the synchronous one does."""

import asyncio
import inspect
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

import crivo
from crivo import AsyncCrivo, Crivo
from crivo.aio.batches import AsyncBatches
from crivo.aio.comparisons import AsyncComparisons
from crivo.aio.datasets import AsyncDatasets
from crivo.aio.executions import AsyncExecutions
from crivo.aio.exports import AsyncExports
from crivo.aio.redrives import AsyncRedrives
from crivo.aio.runs import AsyncRuns
from crivo.aio.scripts import AsyncScripts
from crivo.sync.batches import Batches
from crivo.sync.comparisons import Comparisons
from crivo.sync.datasets import Datasets
from crivo.sync.executions import Executions
from crivo.sync.exports import Exports
from crivo.sync.redrives import Redrives
from crivo.sync.runs import Runs
from crivo.sync.scripts import Scripts
from tests.support.system import CARDS, System

PAIRS = [
    (Crivo, AsyncCrivo),
    (Scripts, AsyncScripts),
    (Executions, AsyncExecutions),
    (Batches, AsyncBatches),
    (Comparisons, AsyncComparisons),
    (Datasets, AsyncDatasets),
    (Runs, AsyncRuns),
    (Exports, AsyncExports),
    (Redrives, AsyncRedrives),
]


@pytest.fixture
async def client(system: System) -> AsyncIterator[AsyncCrivo]:
    async with AsyncCrivo(system.url) as client:
        yield client


@pytest.mark.parametrize(("blocking", "asynchronous"), PAIRS)
def test_both_clients_have_the_same_methods(blocking: type, asynchronous: type) -> None:
    def methods(kind: type) -> dict[str, str]:
        public = {
            name: method
            for name, method in vars(kind).items()
            if inspect.isfunction(method) and not name.startswith("_")
        }
        return {
            name: str(inspect.signature(method)).replace("AsyncIterator", "Iterator")
            for name, method in public.items()
        }

    assert methods(asynchronous) == methods(blocking)


async def test_the_use_case_takes_two_lines(client: AsyncCrivo) -> None:
    await client.scripts.push("async-cards", CARDS / "script.js")
    result = await client.run("async-cards", CARDS / "payload.json")

    assert result.json() == json.loads((CARDS / "expected.json").read_bytes())


async def test_many_runs_at_once(client: AsyncCrivo) -> None:
    await client.scripts.push("async-double", "function process(n) { return 2 * n }")

    results = await asyncio.gather(*(client.run("async-double", n) for n in range(20)))

    assert [each.json() for each in results] == [2 * n for n in range(20)]


async def test_data_and_results_stream(client: AsyncCrivo, tmp_path: Path) -> None:
    await client.scripts.push("async-echo", "function process(data) { return data }")
    path = tmp_path / "data.json"
    path.write_bytes(b'"' + b"x" * 2_000_000 + b'"')

    async def chunks() -> AsyncIterator[bytes]:
        yield b"[1,"
        yield b"2]"

    from_file = await client.run("async-echo", path)
    streamed = await client.run("async-echo", chunks())
    from_io = await client.run("async-echo", io.BytesIO(b"7"))
    saved = await client.executions.save_result(from_file.execution.id, tmp_path / "result.json")

    assert (streamed.json(), from_io.json()) == ([1, 2], 7)
    assert saved == path.stat().st_size
    assert (tmp_path / "result.json").read_bytes() == path.read_bytes() == from_file.content
    with Crivo(client.url) as blocking, pytest.raises(TypeError):
        blocking.run("async-echo", chunks())


async def test_lists_and_states_are_iterated(client: AsyncCrivo) -> None:
    name = f"async-{uuid4().hex[:8]}"
    await client.scripts.push(name, "function process(data) { return data }")
    queued = await client.executions.submit(name, 1)

    states = [each.status async for each in client.executions.watch(queued.id)]
    listed = [each.id async for each in client.executions.list(script=name, page_size=1)]

    assert states[-1] == "succeeded"
    assert listed == [queued.id]


async def test_a_failure_is_typed(client: AsyncCrivo) -> None:
    await client.scripts.push("async-throws", "function process(data) {\n  throw Error('no') }")

    with pytest.raises(crivo.ExecutionFailed) as failure:
        await client.run("async-throws", None)

    assert (failure.value.kind, failure.value.line) == ("script_error", 2)
