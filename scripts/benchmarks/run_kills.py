"""Run a mapping while workers, cells and PostgreSQL are killed, and compare what is published.

The output is that of an undisturbed run, byte for byte, and no part ran again but those that were
on their way at a kill.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import asyncpg
import psutil
import uvloop

from app.background import background
from scripts.benchmarks.output import print_json
from scripts.benchmarks.restarts import keep_running, kill
from scripts.benchmarks.run_loads import MAP, Records, create_script, ended, send, start_run
from scripts.benchmarks.systems import Crivo, running_crivo

VICTIMS: Final = ("worker", "cell", "postgres", "cell", "worker") * 2
_SLOTS: Final = 2
_POLL_SECONDS: Final = 0.02

SELECT_DONE: Final = "SELECT parts_done::float8 / parts FROM runs WHERE id = $1"
SELECT_ATTEMPTS: Final = """
SELECT count(*) AS parts, coalesce(sum(attempts), 0)::integer AS attempts
FROM executions
WHERE run_id = $1
"""
SELECT_LEFT: Final = """
SELECT (SELECT count(*) FROM run_outputs) AS staged,
       (SELECT count(*) FROM dataset_snapshots AS s
        JOIN datasets AS d ON d.id = s.dataset_id
        WHERE d.name = 'disturbed') AS snapshots
"""


def measure(*, size: int, files: int = 1, victims: Sequence[str] = VICTIMS) -> int:
    """Measure and print; return 1 if anything differs, or ran again without a reason."""
    return uvloop.run(_measure(size, files, victims))


async def _measure(size: int, files: int, victims: Sequence[str]) -> int:
    # A short lease, so that ten kills fit into the run.
    async with running_crivo(CRIVO_LEASE_SECONDS="2", CRIVO_WORKER_SLOTS=str(_SLOTS)) as crivo:
        for number in range(files):
            records = Records(size=size // files)
            await asyncio.to_thread(
                send, crivo, "records", records.chunks(), path=f"{number}.jsonl"
            )
        create_script(crivo, "double", MAP)
        calm = await ended(crivo, _start(crivo, "calm"))
        run_id = _start(crivo, "disturbed")
        async with background(keep_running(crivo)):
            killed = await _kill_in_turn(crivo, run_id, victims)
            run = await ended(crivo, run_id, patient=True)
        conn = await asyncpg.connect(crivo.database_url)
        try:
            attempts = await conn.fetchrow(SELECT_ATTEMPTS, run_id)
            left = await conn.fetchrow(SELECT_LEFT)
        finally:
            await conn.close()
    assert attempts is not None  # noqa: S101 - a count has a row
    assert left is not None  # noqa: S101 - a count has a row
    again = attempts["attempts"] - attempts["parts"]
    digests = [each["receipt"]["output_sha256"] for each in (calm, run)]
    rows = [each["progress"]["rows_out"] for each in (calm, run)]
    faults = [
        *(["the outputs differ"] if digests[0] != digests[1] else []),
        *(["the rows differ"] if rows[0] != rows[1] else []),
        *([f"{left['staged']} parts are left"] if left["staged"] else []),
        *([f"{left['snapshots']} snapshots"] if left["snapshots"] != 1 else []),
        *([f"{again} parts ran again"] if again > _SLOTS * len(killed) else []),
    ]
    print_json(
        {
            "bench": "run-kills",
            "bytes": run["progress"]["bytes"],
            "parts": attempts["parts"],
            "kills": dict(Counter(killed)),
            "parts_again": again,
            "output_sha256": digests[1],
            "faults": len(faults),
            "first_faults": faults,
        }
    )
    return 1 if faults else 0


def _start(crivo: Crivo, output: str) -> str:
    # The same seed and clock are not needed: the script uses neither.
    return start_run(crivo, script="double", dataset="records", output={"dataset": output})


async def _kill_in_turn(crivo: Crivo, run_id: str, victims: Sequence[str]) -> list[str]:
    """Kill each victim once so much of the run is done."""
    killed: list[str] = []
    for turn, victim in enumerate(victims, 1):
        # ASYNC110: another process cannot set an event here.
        while await _done(crivo, run_id) < turn / (len(victims) + 2):  # noqa: ASYNC110
            await asyncio.sleep(_POLL_SECONDS)
        if victim == "cell":
            # Between two parts there may be none.
            while not _kill_cell(crivo):  # noqa: ASYNC110
                await asyncio.sleep(_POLL_SECONDS)
        else:
            await kill(crivo, victim)
        killed.append(victim)
    return killed


async def _done(crivo: Crivo, run_id: str) -> float:
    with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        conn = await asyncpg.connect(crivo.database_url)
        try:
            share: float = await conn.fetchval(SELECT_DONE, run_id)
            return share
        finally:
            conn.terminate()
    return 0.0


def _kill_cell(crivo: Crivo) -> bool:
    """Kill a cell at work: one that has used the processor since it was forked."""
    with suppress(psutil.Error):
        worker = psutil.Process(crivo.roots["worker"])
        cells = [each for each in worker.children(recursive=True) if not each.children()]
        random.shuffle(cells)
        busy = max(cells, key=lambda each: each.cpu_times().user, default=None)
        if busy is not None:
            busy.kill()
            return True
    return False
