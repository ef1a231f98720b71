"""Temporary folders go with their worker, also with one that was killed, and with no other."""

import asyncio
import sys
from pathlib import Path
from typing import Final
from uuid import UUID

import uuid_utils.compat as uuid

from app.exports.folders import open_attempt_folder, open_worker_folder
from app.settings import Settings
from tests.support.system import ROOT, until

# A worker that holds a folder until it is killed.
_HOLDER: Final = """
import asyncio, sys
from pathlib import Path
from uuid import UUID
from app.exports.folders import open_worker_folder
from app.settings import Settings

async def hold():
    settings = Settings(export_folder=sys.argv[1])
    async with open_worker_folder(settings, UUID(sys.argv[2])) as folder:
        (folder / "spill").write_bytes(b"left")
        await asyncio.Event().wait()

asyncio.run(hold())
"""


async def test_folders_of_a_killed_worker_are_removed_and_those_of_others_stay(
    tmp_path: Path,
) -> None:
    settings = Settings(export_folder=str(tmp_path))
    killed, lives = uuid.uuid7(), uuid.uuid7()
    holder = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _HOLDER, str(tmp_path), str(killed), cwd=ROOT
    )
    try:
        for _ in until("the other process has a folder"):
            if (tmp_path / str(killed) / "spill").exists():
                break
        async with open_worker_folder(settings, lives) as folder:
            async with open_attempt_folder(folder) as attempt:
                assert _names(tmp_path) == {killed, lives}
                holder.kill()
                await holder.wait()
                async with open_worker_folder(settings, uuid.uuid7()):
                    assert attempt.is_dir()
                    assert not (tmp_path / str(killed)).exists()
            assert list(folder.iterdir()) == []
    finally:
        if holder.returncode is None:
            holder.kill()
            await holder.wait()
    assert list(tmp_path.iterdir()) == []


def _names(folder: Path) -> set[UUID]:
    return {UUID(path.name) for path in folder.iterdir() if path.is_dir()}
