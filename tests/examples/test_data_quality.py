"""The example of data quality, run as its README says: good events are sent, bad ones are not."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.support.servers_sqs import Sqs, run_stand_in_sqs
from tests.support.system import ROOT, System

EXAMPLE: Final = ROOT / "examples" / "data-quality"
QUEUE: Final = "valid-events-queue"
GOOD: Final = (EXAMPLE / "events" / "good.json").read_text(encoding="utf-8")
REASONS: Final = {
    "type": "/age: ",
    "nested": "/address/number: ",
    "list": "/tags/2: ",
    "missing": "/: ",
    "unregistered": "/phone: ",
}


@pytest.fixture(scope="module")
def stand_in_sqs() -> Iterator[Sqs]:
    with run_stand_in_sqs() as sqs:
        sqs.create(QUEUE)
        yield sqs


@pytest.fixture
def environ(system: System, stand_in_sqs: Sqs) -> dict[str, str]:
    return {
        **stand_in_sqs.environ,
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT / "client" / "src"),
        "CRIVO_URL": system.url,
        "SQS_ENDPOINT": stand_in_sqs.url,
        "AWS_DEFAULT_REGION": stand_in_sqs.environ["AWS_REGION"],
    }


def run(environ: dict[str, str], *arguments: str, data: str = "") -> tuple[int, str]:
    """Run Python in the example's folder; return exit code and output."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=EXAMPLE,
        env=environ,
        input=data,
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.stderr, done.stderr
    return done.returncode, done.stdout


def test_a_good_event_is_sent_unchanged(environ: dict[str, str], stand_in_sqs: Sqs) -> None:
    assert run(environ, "main.py") == (0, "Response status code: [200]\n")

    assert [each["Body"] for each in stand_in_sqs.take(QUEUE)] == [GOOD]


def test_bad_events_are_not_sent_and_say_why(environ: dict[str, str], stand_in_sqs: Sqs) -> None:
    found = {path.stem.removeprefix("bad-") for path in (EXAMPLE / "events").glob("bad-*.json")}
    assert found == set(REASONS)
    for name, reason in REASONS.items():
        code, output = run(environ, "main.py", f"events/bad-{name}.json")
        assert code == 1
        assert output.startswith(f"bad-{name}.json is not valid: {reason}"), output
        if name == "type":
            assert output in (EXAMPLE / "README.md").read_text(encoding="utf-8")

    assert stand_in_sqs.take(QUEUE) == []


@pytest.mark.parametrize(("queue", "kept"), [("in", ["b", "d"]), ("in.fifo", ["b", "c", "d"])])
def test_a_batch_keeps_what_failed(
    environ: dict[str, str], stand_in_sqs: Sqs, queue: str, kept: list[str]
) -> None:
    run(environ, "main.py")
    stand_in_sqs.take(QUEUE)
    bodies = {"a": GOOD, "b": '{"eid": 1}', "c": " " + GOOD, "d": "no JSON"}
    records = [
        {"messageId": name, "body": body, "eventSourceARN": f"arn:aws:sqs:us-east-1:1:{queue}"}
        for name, body in bodies.items()
    ]
    call = (
        "import json, sys; from lambda_handler import lambda_handler; "
        "print(json.dumps(lambda_handler(json.load(sys.stdin), None)))"
    )

    _, output = run(environ, "-c", call, data=json.dumps({"Records": records}))

    reply: dict[str, Any] = json.loads(output.splitlines()[-1])
    assert reply == {"batchItemFailures": [{"itemIdentifier": each} for each in kept]}
    sent = sorted(each["Body"] for each in stand_in_sqs.take(QUEUE))
    assert sent == sorted(body for name, body in bodies.items() if name not in kept)


def test_a_dict_is_validated_as_the_text_that_is_sent(
    environ: dict[str, str], stand_in_sqs: Sqs
) -> None:
    run(environ, "main.py")
    stand_in_sqs.take(QUEUE)
    call = "import json, sys; from event_validator import handler; handler(json.load(sys.stdin))"

    assert run(environ, "-c", call, data=GOOD) == (0, "Response status code: [200]\n")

    [sent] = stand_in_sqs.take(QUEUE)
    assert json.loads(sent["Body"]) == json.loads(GOOD)
