"""Every byte and record of a dataset arrives once, whichever process is killed."""

import json
import subprocess
from collections import Counter
from collections.abc import Callable
from operator import attrgetter
from pathlib import Path

import pytest
from msgspec.structs import replace

from scripts.benchmarks.dataset_faults import Evidence, Kill, find_faults
from scripts.benchmarks.dataset_files import SourceFile
from scripts.benchmarks.dataset_kills import VICTIMS
from scripts.benchmarks.dataset_sender import Answer, Sent
from tests.support.servers import ROOT

MB = 1_000_000


def test_a_directory_survives_the_death_of_every_process() -> None:
    # Longer records, so that all of them are looked up in little time.
    arguments = ("datasets", "--size", "60MB", "--record-bytes", "2400")
    done = subprocess.run(
        [ROOT / "scripts" / "bench", *arguments], cwd=ROOT, capture_output=True, check=False
    )

    assert done.stderr.decode() == ""
    *figures, report = [json.loads(line) for line in done.stdout.splitlines()]
    assert report["first_faults"] == []
    assert done.returncode == report["faults"] == 0
    assert report["kills"] == Counter(VICTIMS)
    assert report["kills"] == {"api": 2, "client": 3, "postgres": 1, "worker": 1}
    assert report["files"] == 40
    assert report["bytes"] == pytest.approx(60 * MB, rel=0.01)
    assert report["looked_up"] == report["records"] == 60 * MB // 2_400
    text = (ROOT / "docs" / "BENCHMARKS.md").read_text(encoding="utf-8")
    for figure in figures:
        assert figure["value"] > 0
        assert f"`{figure['bench']}`" in text


FILES = [
    SourceFile(path=Path("00.jsonl"), rows=range(10), size=300),
    SourceFile(path=Path("01.jsonl"), rows=range(10, 20), size=310),
]
NO_KEYS = {"missing_keys": 0}


def _evidence() -> Evidence:
    """What two files leave if all is well: the answer to one part was lost at a kill."""
    counts = {"lines": 10, "records": 10, "parts": 1, "duplicates": 0, **NO_KEYS}
    totals = {"files": 2, "raw_bytes": 610, "lines": 20, "records": 20, **NO_KEYS}
    return Evidence(
        kills=[Kill(victim="client", at=20), Kill(victim="api", at=40)],
        sent=Sent(files=2, records=20, raw_bytes=610, parts=2, parts_sent=1),
        answers=[
            Answer(began=5, ended=10, part="00.jsonl/parts/1", status=201),
            Answer(began=15, ended=20, part="01.jsonl/parts/1", status=None),
            Answer(began=45, ended=50, part="01.jsonl/parts/1", status=200),
        ],
        uploads=1,
        parts=2,
        is_merged=True,
        snapshots=[{"number": 1, **totals}],
        files=[
            {"path": "00.jsonl", "raw_bytes": 300, **counts},
            {"path": "01.jsonl", "raw_bytes": 310, **counts},
        ],
        wrong=[],
    )


def _with_file(**change: object) -> Callable[[Evidence], Evidence]:
    return lambda e: replace(e, files=[{**e.files[0], **change}, e.files[1]])


def _with_snapshot(**change: object) -> Callable[[Evidence], Evidence]:
    return lambda e: replace(e, snapshots=[{**e.snapshots[0], **change}])


def _with_answer(began: int, status: int) -> Callable[[Evidence], Evidence]:
    answer = Answer(began=began, ended=began + 4, part="00.jsonl/parts/1", status=status)
    return lambda e: replace(e, answers=sorted([*e.answers, answer], key=attrgetter("ended")))


def _with_late_answer(evidence: Evidence) -> Evidence:
    """The request of a killed client ends after that of the next one has begun."""
    part = "01.jsonl/parts/1"
    late = Answer(began=15, ended=27, part=part, status=201)
    repeated = Answer(began=25, ended=28, part=part, status=200)
    return replace(evidence, answers=[evidence.answers[0], late, repeated])


def _with_five_repeats(evidence: Evidence) -> Evidence:
    """One part more than can be on its way at one kill."""
    repeated = [
        Answer(began=25, ended=30, part=f"02.jsonl/parts/{n}", status=200) for n in range(5)
    ]
    return replace(evidence, answers=[*evidence.answers[:2], *repeated])


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda e: e, None),
        (_with_answer(began=51, status=200), None),
        (_with_late_answer, None),
        (
            _with_answer(began=12, status=200),
            "00.jsonl/parts/1: sent again, and nothing was killed",
        ),
        (_with_answer(began=1, status=200), "00.jsonl/parts/1: sent again, and nothing was killed"),
        (_with_answer(began=51, status=201), "00.jsonl/parts/1: added twice"),
        (_with_five_repeats, "02.jsonl/parts/4: sent again, and was not on its way"),
        (lambda e: replace(e, kills=e.kills[:1]), "killed: only ['client']"),
        (lambda e: replace(e, uploads=2), "2 uploads"),
        (lambda e: replace(e, is_merged=False), "indexes: not merged"),
        (lambda e: replace(e, parts=3), "the client has named 2 parts, and 3 are stored"),
        (lambda e: replace(e, parts=3), "the files have 2 parts, and 3 are stored"),
        (lambda e: replace(e, parts=1), "the API has acknowledged 2 parts, and 1 are stored"),
        (lambda e: replace(e, answers=e.answers[:2]), None),
        (lambda e: replace(e, snapshots=[*e.snapshots, *e.snapshots]), "2 snapshots"),
        (lambda e: replace(e, snapshots=[]), "0 snapshots"),
        (_with_snapshot(records=19), "snapshot 1: records 19 in place of 20"),
        (_with_snapshot(missing_keys=1), "snapshot 1: missing_keys 1 in place of 0"),
        (_with_file(duplicates=1), "00.jsonl: duplicates 1 in place of 0"),
        (_with_file(lines=11), "00.jsonl: lines 11 in place of 10"),
        (_with_file(path="2.jsonl"), "00.jsonl: lost"),
        (_with_file(path="2.jsonl"), "2.jsonl: not sent"),
        (_with_file(path="01.jsonl"), "01.jsonl: 2 files"),
        (lambda e: replace(e, wrong=["00.jsonl: ends at byte 7"]), "00.jsonl: ends at byte 7"),
    ],
)
def test_every_loss_and_every_repetition_is_a_fault(
    change: Callable[[Evidence], Evidence], fault: str | None
) -> None:
    faults = find_faults(FILES, change(_evidence()), victims=("client", "api"))

    if fault is None:
        assert faults == []
    else:
        assert any(each.startswith(fault) for each in faults), faults
