"""Re-drives from the library and from the command line."""

import json

from app.redrives.model import MAX_LETTERS
from app.redrives.problems import too_many_letters
from crivo import Crivo
from crivo.cli.exit_codes import ExitCode
from tests.comparisons.conftest import Recorded
from tests.support.crivo_command import CrivoCommand
from tests.support.faulty_server import FaultyServer, Scripted
from tests.support.system import System

SOURCE = "function process(data) { if (data.n % 2) throw new Error(data.n); return data.n }"
MENDED = "function process(data) { if (data.n === 3) throw new Error('three'); return data.n }"


def test_failed_work_is_planned_tried_and_waited_for(
    system: System, client: Crivo, crivo: CrivoCommand
) -> None:
    script = Recorded(system, SOURCE)
    script.run([b'{"n":%d}' % n for n in range(4)])
    script.version(MENDED)
    plan = client.redrives.plan(on=f"{script.name}@2", execution={"script": script.name})
    assert [each.outcome for each in plan.samples] == ["failed_again", "moved"]
    assert plan.samples[1].forward_bytes == len(b"1")

    chosen = ("redrive", "--execution", script.name, "--script", f"{script.name}@2")
    assert crivo(*chosen, "--dry-run").text.startswith("2 to try\n")
    tried = crivo(*chosen, "--wait", "--json")
    assert tried.code == ExitCode.FAILED
    found = json.loads(tried.text)
    assert (found["moved"], found["failed_again"], found["remaining"]) == (1, 1, 0)
    assert client.redrives.wait(found["id"]).is_final
    assert found["id"] in [str(each.id) for each in client.redrives.list(status="finished")]
    listed = crivo("redrives", "list", "--status", "finished", "--since", found["created_at"]).text
    assert listed.startswith(found["id"])
    assert crivo("redrives", "list", "--run", found["id"]).text == ""
    assert "1 of 2 moved" in crivo("redrives", "show", found["id"]).text
    again = crivo(*chosen, "--wait")
    assert again.code == ExitCode.FAILED
    assert "0 of 1 moved" in again.text
    # Not once more.
    assert "moved" not in again.err
    assert crivo("redrive", "--run", "1", "--pipe", "p").code == ExitCode.USAGE


def test_too_many_letters_are_refused_with_the_options_that_choose_some(
    crivo: CrivoCommand, faulty: FaultyServer
) -> None:
    # So many letters take too long to make: the answer is that of the service to them.
    problem = too_many_letters(MAX_LETTERS)
    document = {
        "type": f"urn:crivo:problem:{problem.code}",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "request_id": "any",
    }
    faulty.faults = [
        Scripted(
            status=problem.status,
            headers={"Content-Type": "application/problem+json"},
            body=json.dumps(document).encode(),
        )
    ]

    refused = crivo("redrive", "--pipe", "orders", CRIVO_URL=faulty.url)

    assert refused.code == ExitCode.REFUSED
    assert "--dry-run counts them, and --since and --until choose some" in refused.err
