"""Comparisons, conditional promotions and replays by filter, as a user meets them."""

import json
from typing import Final
from uuid import uuid4

import pytest
from msgspec import Raw

from crivo import Conflict, Crivo, InvalidRequest
from crivo.cli.exit_codes import ExitCode
from tests.support.crivo_command import CrivoCommand

OLD: Final = "function process(n) { if (n < 0) throw Error('no'); return {n, twice: 2 * n} }\n"
SAME: Final = f"// Says the same.\n{OLD}"
OTHER: Final = "function process(n) { return {n, twice: n === 3 ? '6' : 2 * n} }\n"


@pytest.fixture
def recorded(client: Crivo) -> str:
    """A script with three versions, of which prod is the first and has run three times."""
    name = f"compared-{uuid4().hex[:8]}"
    for source in (OLD, SAME, OTHER):
        client.scripts.push(name, source)
    client.scripts.promote(name, "prod", 1)
    list(client.batches.run(f"{name}@prod", [1, 3, -1]))
    return name


def test_a_clean_comparison_permits_a_promotion_and_another_does_not(
    client: Crivo, recorded: str
) -> None:
    same = client.comparisons.wait(client.comparisons.start(recorded, "prod", 2).id)
    other = client.comparisons.wait(client.comparisons.start(recorded).id)

    assert (same.clean, same.inputs, same.same, same.differences) == (True, 3, 3, [])
    assert (other.clean, other.same, other.differing, other.newly_fixed) == (False, 1, 1, 1)
    assert other.differences is not None
    changed = [each for each in other.differences if each.changes]
    [change] = changed[0].changes or []
    assert (change.pointer, change.before, change.after) == ("/twice", Raw(b"6"), Raw(b'"6"'))
    with pytest.raises(Conflict):
        client.scripts.promote(recorded, "prod", 3, comparison=other.id)
    assert client.scripts.promote(recorded, "prod", 2, comparison=same.id).version == 2


def test_the_command_line_compares_and_promotes(crivo: CrivoCommand, recorded: str) -> None:
    same = crivo("compare", f"{recorded}@prod", f"{recorded}@2")
    other = crivo("compare", f"{recorded}@prod", "--json")
    comparison = json.loads(other.out)["id"]
    shown = crivo("comparisons", "show", comparison)
    refused = crivo("scripts", "promote", f"{recorded}@3", "--comparison", comparison)
    accepted = crivo(
        "scripts", "promote", f"{recorded}@3", "--comparison", comparison, "--accept-differences"
    )

    assert (same.code, same.err) == (0, "")
    assert same.text.startswith(f"{recorded}@1 and {recorded}@2: 3 inputs, 3 same")
    assert other.code == shown.code == ExitCode.FAILED
    summary, *rows = shown.text.splitlines()
    assert "1 same, 1 differing, 1 newly fixed" in summary
    cells = [row.split("\t")[1:] for row in rows]
    assert ["differing", "/twice", "6", '"6"'] in cells
    assert ["newly_fixed", "", "script_error", "succeeded"] in cells
    assert refused.code == ExitCode.REFUSED
    assert "--accept-differences" in refused.err
    assert f"`crivo comparisons show {comparison}`" in refused.err
    assert accepted.text == f"{recorded}@prod is version 3\n"
    usage = crivo("compare", "a@1", "b@2")
    assert (usage.code, "different scripts" in usage.err) == (ExitCode.USAGE, True)


def test_recorded_executions_are_replayed_by_filter(
    client: Crivo, crivo: CrivoCommand, recorded: str
) -> None:
    plan = client.batches.plan_replay(script=recorded, status="failed")
    planned = crivo("batches", "replay", "--script", recorded, "--dry-run")
    same = crivo("batches", "replay", "--script", recorded)
    other = crivo("batches", "replay", "--script", recorded, "--on", f"{recorded}@3")
    replayed = client.batches.replay(on=f"{recorded}@2", script=recorded, error_kind="script_error")

    assert (plan.matching, len(plan.samples)) == (1, 1)
    assert planned.text.splitlines()[0] == "3 to replay, 0 erased"
    assert (same.code, same.text) == (0, "3 of 3 identical\n")
    assert other.code == ExitCode.FAILED
    *rows, last = other.text.splitlines()
    assert (len(rows), last) == (2, "1 of 3 identical")
    assert replayed.items == 1
    with pytest.raises(InvalidRequest):
        client.batches.replay()
