"""The process of a task can use its files, and nothing else of its host."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Final

import pytest
from structlog.testing import capture_logs

from app.exports.plan import process
from app.exports.plan.model import Plan, Resources, SourceFile, TaskFailed, Whole
from app.exports.plan.process import run_task
from tests.support.kernel import LANDLOCK, SECCOMP, landlock_version

ROOT: Final = Path(__file__).resolve().parents[3]
MEASURES: Final = {
    *("parent_death_signal", "not_dumpable", "empty_environment", "no_new_privileges"),
    *("landlock", "landlock_tcp", "landlock_scopes", "seccomp", "tested_architecture"),
}
_PROBED: Final = (
    "import sys; sys.path.insert(0, sys.argv.pop(1));"
    " from tests.exports.plan.probed_task import main; main(int(sys.argv[1]))"
)
_PROGRAM: Final = """
import asyncio, json, sys
from pathlib import Path
from structlog.testing import capture_logs
from app.exports.plan.model import Plan, Resources, SourceFile, Whole
from app.exports.plan.process import run_task
folder = Path(sys.argv[1])
task = Whole(sources=[SourceFile(local=str(folder / "lines"), path="lines")])
resources = Resources(memory_bytes=400_000_000, threads=2, spill=str(folder / "spill"))
with capture_logs() as logs:
    report = asyncio.run(run_task(task, Plan(key=["/k"]), resources, folder / "out"))
print(json.dumps([report.rows_out, logs]))
"""


def _task(folder: Path) -> tuple[Whole, Plan, Resources, Path]:
    for name in ("spill", "out"):
        (folder / name).mkdir()
    for name in ("lines", "other"):
        (folder / name).write_bytes(b'{"k":1}\n')
    task = Whole(sources=[SourceFile(local=str(folder / "lines"), path="lines")])
    resources = Resources(memory_bytes=400_000_000, threads=2, spill=str(folder / "spill"))
    return task, Plan(key=["/k"]), resources, folder / "out"


async def test_only_the_work_of_a_task_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_BOOT", _PROBED)
    before = set(tmp_path.iterdir())
    with pytest.raises(TaskFailed) as caught:
        await run_task(*_task(tmp_path))
    for fates in caught.value.details.values():
        assert isinstance(fates, dict)
        worked = {name for name, fate in fates.items() if fate == "works"}
        assert worked == {name for name in fates if name.startswith("work:")}
        for name, fate in fates.items():
            # Landlock's answer, or the filter's; the words of DuckDB say it, too.
            if name not in worked:
                assert fate in {"EACCES", "EPERM", "EXDEV", "Permission denied"}, (name, fate)
    assert len(caught.value.details) == 2
    assert {path.name for path in set(tmp_path.iterdir()) - before} == {
        *("spill", "out", "lines", "other")
    }


async def test_what_is_in_force_is_logged_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_noted", {})
    with capture_logs() as logs:
        for name in ("1", "2"):
            (tmp_path / name).mkdir()
            await run_task(*_task(tmp_path / name))
    [entry] = [each for each in logs if each["event"] == "export.confined"]
    in_force = entry["in_force"]
    assert set(in_force) == MEASURES
    since = {"landlock": 1, "landlock_tcp": 4, "landlock_scopes": 6}
    version = landlock_version()
    for name in MEASURES - {"tested_architecture"}:
        assert (in_force[name] == "on") == (version >= since.get(name, version)), name


@pytest.mark.parametrize(
    ("call", "missing"),
    [(LANDLOCK, {"landlock", "landlock_tcp", "landlock_scopes"}), (SECCOMP, {"seccomp"})],
    ids=["landlock", "seccomp"],
)
async def test_a_task_runs_without_what_the_kernel_lacks_and_says_so(
    tmp_path: Path, call: str, missing: set[str]
) -> None:
    _task(tmp_path)
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.security.without_call", call, "-c", _PROGRAM),
        str(tmp_path),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    stdout, _ = await parent.communicate()
    rows, [entry] = json.loads(stdout)
    assert rows == 1
    assert entry["log_level"] == "warning"
    assert entry["in_force"] == {
        name: "off: Function not implemented" if name in missing else "on" for name in MEASURES
    }
