"""The work of the Airflow example is done by a real system; the DAG around it compiles."""

import json
import runpy
from pathlib import Path

import pytest

import crivo
from tests.support.servers import ROOT
from tests.support.system import System

AIRFLOW = ROOT / "examples" / "airflow"


def test_the_task_sends_a_directory(
    system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRIVO_URL", system.url)
    monkeypatch.delenv("CRIVO_KEY", raising=False)
    send = runpy.run_path(str(AIRFLOW / "send_directory.py"))["send_directory"]
    directory = tmp_path / "2026-11"
    directory.mkdir()
    lines = [json.dumps({"pk": str(n), "score": str(n % 101)}) for n in range(1_000)]
    (directory / "scores.jsonl").write_text("\n".join(lines))

    sent = send(str(directory), "airflow-scores", state_folder=str(tmp_path / "state"))

    assert (sent.snapshot.number, sent.records) == (1, 1_000)
    found = system.client.get("/datasets/airflow-scores@1/records/7")
    assert found.content == lines[7].encode()
    with (directory / "scores.jsonl").open("a") as file:
        file.write("\n{oops\n")
    with pytest.raises(crivo.NotPublished, match="1 bad line"):
        send(str(directory), "airflow-scores", state_folder=str(tmp_path / "state"))


def test_the_dag_compiles() -> None:
    path = AIRFLOW / "scores_dag.py"
    compile(path.read_bytes(), str(path), "exec")
