"""Each benchmark runs and prints the documented figures; no test judges a figure."""

import json
import re
import subprocess
from typing import Any, Final

import pytest

from scripts.benchmarks import pipeline
from scripts.benchmarks.output import new_line
from scripts.benchmarks.soak import Sample, find_leaks
from tests.support.servers import ROOT

FIELDS = {
    *("bench", "value", "unit", "baseline", "ratio", "goal", "met", "runs"),
    *("v8", "cpus", "isolates"),
}
# The lines that each `--only` prints.
PIPELINE: Final = {
    "lead": ["lead-idle", "lead-idle-beside-peer"],
    "rate": [
        f"{figure}-32-clients{mode}" for mode in ("", "-polling") for figure in ("rate", "cpu")
    ],
    "1mb": ["lead-1mb"],
    "25mb": ["lead-25mb", "memory-25mb"],
    "claims": ["claim-1m-queued", "claim-1m-queued-5m-finished"],
    "idle": ["cpu-idle"],
    "show": ["show-while-saturated"],
    "fairness": ["fairness"],
    "recovery": ["recovery"],
}
PEER: Final = ROOT / "scripts" / "benchmarks" / "peers"


def _bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "scripts" / "bench", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def _lines(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("only", "names"),
    [
        ("cpu", ["small-cpu"]),
        ("latency", ["dispatch-latency"]),
        ("25mb", [f"filter-reduce-1mb-{part}" for part in ("inside", "whole", "peak")]),
        ("100mb", [f"filter-reduce-4mb-{part}" for part in ("inside", "whole", "peak")]),
        ("rate", ["rate-one-cell", "rate-two-cells"]),
    ],
)
def test_each_figure_of_the_sandbox_is_one_line(only: str, names: list[str]) -> None:
    lines = _lines(_bench("sandbox", "--quick", "--isolates", "2", "--only", only))

    assert [line["bench"] for line in lines] == names
    for line in lines:
        assert set(line) >= FIELDS
        assert (line["isolates"], line["quick"], len(line["runs"])) == (2, True, 1)
        assert line["value"] > 0


def test_each_figure_of_batches_is_one_line() -> None:
    lines = _lines(_bench("batch", "--quick", "--no-peer"))

    assert [line["bench"] for line in lines] == [
        "batch-cpu-of-single",
        "batch-cpu-of-peer",
        "batch-large-api-memory",
        "batch-large-worker-memory",
    ]
    assert all(line["value"] > 0 for line in lines)


def test_a_soak_accounts_for_every_execution() -> None:
    *windows, verdict = _lines(_bench("sandbox", "--soak", "--count", "20", "--isolates", "2"))

    assert [window["done"] for window in windows] == list(range(1, 21))
    assert sum(verdict["outcomes"].values()) == verdict["executions"] == 20
    assert (verdict["flat"], verdict["wrong_or_lost"]) == (True, [])


@pytest.mark.parametrize(
    ("grows", "leaks"), [("pool_fds", True), ("pool_rss_mib", True), (None, False)]
)
def test_a_soak_detects_growth(grows: str | None, leaks: bool) -> None:  # noqa: FBT001 - a table of cases
    samples = [
        Sample(**{name: 50 + 10 * (name == grows) * n for name in Sample.__struct_fields__})
        for n in range(10)
    ]

    assert [leak.partition(":")[0] for leak in find_leaks(samples)] == ([grows] if leaks else [])


def test_the_pipeline_benchmark_prints_every_figure() -> None:
    lines = _lines(_bench("pipeline", "--quick", "--no-peer"))

    assert [line["bench"] for line in lines] == [
        each for group in PIPELINE.values() for each in group
    ]
    for line in lines:
        assert set(line) >= FIELDS - {"v8", "isolates"}
        assert len(line["runs"]) == 1
        # CPU time of exited processes is counted in ticks, so a short run may measure less than 0.
        assert line["value"] > 0 or line["bench"].startswith("cpu-")
    [idle] = [line for line in lines if line["bench"] == "cpu-idle"]
    assert set(idle["also"]) == {
        f"{part}_percent" for part in ("postgres", "redis", "api", "worker", "sandbox")
    }


def test_each_figure_of_the_pipeline_can_be_chosen_and_is_documented() -> None:
    text = (ROOT / "docs" / "BENCHMARKS.md").read_text(encoding="utf-8")
    documented = set(
        re.findall(r"`([a-z0-9-]+)`", "".join(re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)))
    )

    assert list(PIPELINE) == list(pipeline._MEASURES)
    for only, names in PIPELINE.items():
        assert f"| `{names[0]}` (`{only}`) |" in text
        assert set(names) <= documented


def test_the_datasets_benchmark_prints_every_figure() -> None:
    lines = _lines(_bench("datasets", "--quick"))

    text = (ROOT / "docs" / "BENCHMARKS.md").read_text(encoding="utf-8")
    assert len(lines) == 11
    for line in lines:
        assert set(line) >= FIELDS - {"v8", "isolates"}
        assert line["value"] > 0
        assert f"`{line['bench']}`" in text


def test_the_records_benchmark_prints_every_figure() -> None:
    lines = _lines(_bench("records", "--records", "20000", "--lookups", "100"))

    text = (ROOT / "docs" / "BENCHMARKS.md").read_text(encoding="utf-8")
    assert len(lines) == 4
    for line in lines:
        assert line["value"] > 0
        assert f"`{line['bench']}`" in text


def test_the_peer_is_pinned() -> None:
    package_json = json.loads((PEER / "package.json").read_text(encoding="utf-8"))
    text = (PEER / "package-lock.json").read_text(encoding="utf-8")
    root, *packages = json.loads(text)["packages"].values()

    assert root["dependencies"] == package_json["dependencies"]
    assert all(
        re.fullmatch(r"[0-9.]+", version) for version in package_json["dependencies"].values()
    )
    assert all(package["integrity"].startswith("sha512-") for package in packages)
    # The registry is chosen by the installation.
    assert "://" not in text


def test_the_peer_imports_its_dependencies() -> None:
    dependencies = json.loads((PEER / "package.json").read_text(encoding="utf-8"))["dependencies"]
    code = "".join(path.read_text(encoding="utf-8") for path in PEER.glob("*.js"))
    imported = set(re.findall(r'^import .* from "([a-z][a-z-]*)";$', code, re.MULTILINE))

    assert imported == set(dependencies)


@pytest.mark.parametrize(("ours", "met"), [(2.0, True), (4.0, False)])
def test_a_goal_is_met_or_missed(ours: float, met: bool) -> None:  # noqa: FBT001 - a table of cases
    line = new_line("b", unit="ms", runs=[1.0, ours, 9.0], baseline=("b", [1, 2, 3]), goal=3.0)

    assert (line.value, line.ratio, line.met) == (ours, max(1.0, ours / 2), met)


@pytest.mark.parametrize(("ours", "met"), [(2.0, True), (1.0, False)])
def test_a_goal_can_be_a_minimum(ours: float, met: bool) -> None:  # noqa: FBT001 - a table of cases
    line = new_line(
        "b",
        unit="/s",
        runs=[ours],
        baseline=("b", [1.0]),
        goal=1.5,
        goal_of="ratio",
        at_least=True,
    )

    assert (line.ratio, line.met) == (ours, met)


def test_the_executions_benchmark_has_a_help_text() -> None:
    done = _bench("executions", "--help")

    assert done.returncode == 0
    assert "scripts/bench executions" in done.stdout


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    done = _bench("nothing")

    assert done.returncode == 2
    assert (
        "batch, datasets, executions, exports, keys, kill, pipeline, pipes, records, runs, "
        "sandbox, schemas" in done.stderr
    )


def test_each_figure_of_streams_is_one_line_and_documented() -> None:
    lines = _lines(_bench("runs", "--quick"))

    names = ["runs-lines", "runs-text", "runs-bytes", "runs-map", "runs-each"]
    assert [line["bench"] for line in lines] == names
    text = (ROOT / "docs" / "BENCHMARKS.md").read_text(encoding="utf-8")
    for line in lines:
        assert set(line) >= FIELDS - {"isolates"}
        assert line["value"] > 0
        assert f"`{line['bench']}`" in text


def test_the_cost_of_a_key_is_measured() -> None:
    [line] = _lines(_bench("keys", "--quick"))

    assert line["bench"] == "key-per-request"
    assert line["goal"] == 0.2
    assert line["baseline"] > 0


def test_validation_in_a_cell_is_measured() -> None:
    lines = _lines(_bench("schemas", "--quick"))

    assert {"schemas-stream", "schemas-execution"} <= {line["bench"] for line in lines}
    assert all(line["value"] > 0 and line["ratio"] > 0 for line in lines)
